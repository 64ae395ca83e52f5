import {
  BUILT_IN_ROLES,
  type DelegateOptions,
  defineRoles,
  delegate,
  verifyDelegation,
} from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'

export const ROLES = defineRoles(BUILT_IN_ROLES)
export const NOW_MS = Date.parse('2026-03-01T12:00:00Z')
export const GATEWAY = createEphemeralIdentity().id

export interface Chain {
  readonly root: DeviceIdentity
  readonly chain: readonly string[]
  /** The holders, the last one is who connects. */
  readonly holders: readonly DeviceIdentity[]
  readonly last: DeviceIdentity
}

/** A chain of so many links as there are steps, each narrower or as the steps say. */
export function chainOf(
  ...steps: readonly Omit<Partial<DelegateOptions>, 'chain' | 'issuer' | 'holder'>[]
): Chain {
  const root = createEphemeralIdentity()
  const holders: DeviceIdentity[] = []
  let chain: readonly string[] = []
  for (const [at, step] of steps.entries()) {
    const holder = createEphemeralIdentity()
    chain = delegate({
      issuer: holders.at(-1) ?? root,
      chain,
      holder: holder.publicKey,
      gatewayId: GATEWAY,
      role: 'operator',
      scopes: ['operator.read'],
      nowMs: NOW_MS,
      ttlMs: 60_000,
      depth: steps.length - 1 - at,
      ...step,
    })
    holders.push(holder)
  }
  return { root, chain, holders, last: holders.at(-1) ?? root }
}

export interface Looked {
  readonly root?: DeviceIdentity | null
  readonly holder?: DeviceIdentity
  readonly gatewayId?: DeviceIdentity['id']
  readonly nowMs?: number
  readonly revoked?: readonly string[]
}

/** What the gateway says of a chain, as things are in the test unless it says otherwise. */
export function look(made: Chain, looked: Looked = {}, chain: readonly string[] = made.chain) {
  const root = looked.root === undefined ? made.root : looked.root
  return verifyDelegation(chain, {
    root: root?.publicKey ?? null,
    holder: (looked.holder ?? made.last).publicKey,
    gatewayId: looked.gatewayId ?? GATEWAY,
    nowMs: looked.nowMs ?? NOW_MS,
    roles: ROLES,
    revoked: new Set(looked.revoked ?? []),
  })
}

/** A link whose payload was changed, signed by whomever; its header can be changed as well. */
export function resigned(
  link: string,
  signer: DeviceIdentity | null,
  change: (payload: Record<string, unknown>) => unknown,
  header?: Readonly<Record<string, unknown>>,
): string {
  const [head = '', body = '', signature = ''] = link.split('.')
  const payload = JSON.parse(Buffer.from(body, 'base64url').toString())
  const text = JSON.stringify(change(payload) ?? payload)
  const encoded = (json: string): string => Buffer.from(json).toString('base64url')
  const input = `${header === undefined ? head : encoded(JSON.stringify(header))}.${encoded(text)}`
  if (signer === null) return `${input}.${signature}`
  return `${input}.${Buffer.from(signer.sign(Buffer.from(input))).toString('base64url')}`
}
