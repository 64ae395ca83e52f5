import type { DelegationLink, Scope } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import type { Connection } from './connection.ts'

/** A child that holds a right of its own, and who stems from it. */
export interface DelegationNode {
  /** The id of its key: the same for as long as it lives, however often its right is renewed. */
  readonly holderId: DeviceId
  /** The id of its right as it is now. */
  readonly delegationId: string
  readonly scopes: readonly Scope[]
  /** In ms since the epoch. */
  readonly expiresAtMs: number
  /** Connections of its own, now. One that has children need not be connected itself. */
  readonly connections: number
  readonly children: readonly DelegationNode[]
}

/** A device, and whoever is connected by a right that stems from it. */
export interface DelegationTree {
  readonly deviceId: DeviceId
  readonly children: readonly DelegationNode[]
}

interface Growing extends DelegationNode {
  connections: number
  children: Growing[]
}

/** Who started whom, as far as anybody below is connected now. Sorted by id. */
export function delegationTrees(connections: readonly Connection[]): readonly DelegationTree[] {
  const trees = new Map<DeviceId, Growing[]>()
  for (const { deviceId, delegation } of connections) {
    if (deviceId === null || delegation === null) continue
    const top = trees.get(deviceId) ?? []
    trees.set(deviceId, top)
    let siblings = top
    for (const [at, link] of delegation.path.entries()) {
      const node = nodeIn(siblings, link)
      if (at === delegation.path.length - 1) node.connections += 1
      siblings = node.children
    }
  }
  const byId = [...trees].sort(([left], [right]) => (left < right ? -1 : 1))
  return byId.map(([deviceId, children]) => ({ deviceId, children: sorted(children) }))
}

function nodeIn(siblings: Growing[], link: DelegationLink): Growing {
  const known = siblings.findIndex(({ holderId }) => holderId === link.holderId)
  const { holderId, delegationId, scopes, expiresAtMs } = link
  const before = siblings[known]
  if (before !== undefined && before.expiresAtMs >= expiresAtMs) return before
  // Of two rights for the same key the one that lasts longer is the newer one.
  const node: Growing = {
    holderId,
    delegationId,
    scopes,
    expiresAtMs,
    connections: 0,
    children: [],
    ...kept(before),
  }
  if (known < 0) siblings.push(node)
  else siblings[known] = node
  return node
}

function kept(before: Growing | undefined): Partial<Growing> {
  return before === undefined ? {} : { connections: before.connections, children: before.children }
}

function sorted(nodes: Growing[]): Growing[] {
  for (const node of nodes) node.children = sorted(node.children)
  return nodes.sort((left, right) => (left.holderId < right.holderId ? -1 : 1))
}
