import { type DeviceId, deviceIdOf, type PublicKey, verifySignature } from '@holdfast/identity'
import {
  type DelegationCaveats,
  type LinkClaims,
  type LinkFlaw,
  type ReadLink,
  readLink,
} from './internal/delegation-link.ts'
import { missingScopes, parseRole, type RoleTable, type Scope } from './scopes.ts'

declare const delegationBrand: unique symbol

/** The most links of a chain: a device's child, its child, and two more generations. */
export const MAX_DELEGATION_LINKS = 4
/** The most bytes of a chain, all links together: it has to fit into the frame of a `connect`. */
export const MAX_DELEGATION_BYTES = 12_288
/** The longest a link may be good for, in ms: one day. It is renewed, not made to last. */
export const MAX_DELEGATION_TTL_MS = 86_400_000
/** How far in the future the beginning of a link may lie, in ms, for clocks that differ. Its end is not stretched. */
export const DELEGATION_CLOCK_TOLERANCE_MS = 60_000

/** What one link of a verified chain says of its holder. */
export interface DelegationLink {
  readonly delegationId: string
  /** The id of the holder's key. */
  readonly holderId: DeviceId
  readonly scopes: readonly Scope[]
  readonly expiresAtMs: number
  /** How many more links may follow. */
  readonly depth: number
  readonly caveats: DelegationCaveats
}

/**
 * A chain of which every link was verified, under the root's key as the store has it.
 * Only {@link verifyDelegation} makes one, frozen; the rules accept nothing less.
 */
export interface VerifiedDelegation {
  readonly [delegationBrand]: true
  /** The device that everything here stems from. */
  readonly root: DeviceId
  readonly role: string
  /** The root's own link first. */
  readonly links: readonly DelegationLink[]
  /** When it is over: the links narrow, so that is when the last one is. */
  readonly expiresAtMs: number
  /** The calls that are allowed, by name; `null`: no link names any. */
  readonly calls: readonly string[] | null
}

/** What is wrong with a chain. Each has one cause. */
export type DelegationFlaw =
  | LinkFlaw
  /** No link, or more than {@link MAX_DELEGATION_LINKS}. */
  | 'chain-length'
  /** More than {@link MAX_DELEGATION_BYTES}. */
  | 'chain-too-large'
  /** It was given to another key than the one that connects. */
  | 'holder-mismatch'
  /** The store does not know the device that it stems from. */
  | 'root-unknown'
  /** The link does not name the key before it as its issuer: it is another chain's. */
  | 'issuer-mismatch'
  | 'signature-invalid'
  /** It is for another gateway. */
  | 'audience-mismatch'
  | 'not-yet-valid'
  | 'expired'
  /** It is good for longer than {@link MAX_DELEGATION_TTL_MS}. */
  | 'lifetime-too-long'
  /** The link before allows none after it, or fewer than this one says. */
  | 'too-deep'
  | 'role-changed'
  /** It claims more than the link before it has: scopes, time, calls or connections. */
  | 'scopes-widened'
  | 'expiry-widened'
  | 'caveats-widened'
  /** It, or the key that it was given to, was revoked. */
  | 'revoked'

export type DelegationVerdict =
  | { readonly verdict: 'verified'; readonly delegation: VerifiedDelegation }
  /** `link`: which, from 1; 0 where it is the chain as a whole. */
  | { readonly verdict: 'flawed'; readonly flaw: DelegationFlaw; readonly link: number }

/** What a chain is measured by. */
export interface DelegationContext {
  /** The key of the device that {@link rootOf} names, out of the store; `null` where it has none. */
  readonly root: PublicKey | null
  /** The key that signed the `connect`. */
  readonly holder: PublicKey
  readonly gatewayId: DeviceId
  readonly nowMs: number
  readonly roles: RoleTable
  /** Of the ids in the chain ({@link idsIn}), those that were revoked. */
  readonly revoked: ReadonlySet<string>
}

/** The device that a chain claims to stem from, or `null`: whose key is to be looked up. Nothing is verified. */
export function rootOf(chain: readonly string[]): DeviceId | null {
  const first = readLink(chain[0] ?? '')
  return typeof first === 'string' ? null : first.issuer
}

/** What the store may have revoked of a chain: the id of each link, and of each holder. Nothing is verified. */
export function idsIn(chain: readonly string[]): readonly string[] {
  return chain.slice(0, MAX_DELEGATION_LINKS).flatMap(text => {
    const link = readLink(text)
    return typeof link === 'string' ? [] : [link.delegationId, deviceIdOf(link.holder)]
  })
}

/**
 * A verdict on a chain: pure, total, and with one reason for each flaw. Whatever a peer sends, the answer is a verdict.
 *
 * `verified` claims: every link is signed by the key before it, the first by the root's key as the store has it; no key came
 * out of a header; each is for this gateway, and good now; each has the role of the one before and nothing that that one
 * has not; none was revoked; and the last was given to the very key that connects. What the root itself has now is another
 * question, which rule 11 asks.
 */
export function verifyDelegation(chain: readonly string[], context: DelegationContext): DelegationVerdict {
  if (chain.length > MAX_DELEGATION_LINKS) return flawed('chain-length', 0)
  if (bytesOf(chain) > MAX_DELEGATION_BYTES) return flawed('chain-too-large', 0)
  const links: ReadLink[] = []
  for (const text of chain) {
    const link = readLink(text)
    if (typeof link === 'string') return flawed(link, links.length + 1)
    links.push(link)
  }
  const last = links.at(-1)
  if (last === undefined) return flawed('chain-length', 0)
  // Before any signature is computed: a chain that was overheard costs nothing.
  if (last.holder.toString() !== context.holder.toString()) return flawed('holder-mismatch', links.length)
  if (context.root === null) return flawed('root-unknown', 1)
  let key = context.root
  for (const [at, link] of links.entries()) {
    const flaw = flawOf(link, { key, parent: links[at - 1] ?? null, context })
    if (flaw !== null) return flawed(flaw, at + 1)
    key = link.holder
  }
  return { verdict: 'verified', delegation: markVerified(links, last, deviceIdOf(context.root)) }
}

/** The size of a chain on the wire. */
export function bytesOf(chain: readonly string[]): number {
  return chain.reduce((bytes, link) => bytes + link.length, 0)
}

function flawed(flaw: DelegationFlaw, link: number): DelegationVerdict {
  return { verdict: 'flawed', flaw, link }
}

interface LinkPlace {
  /** Whose signature it must bear. */
  readonly key: PublicKey
  readonly parent: ReadLink | null
  readonly context: DelegationContext
}

// The signature comes first: who cannot sign learns nothing of what the rest would have been worth.
function flawOf(link: ReadLink, { key, parent, context }: LinkPlace): DelegationFlaw | null {
  if (link.issuer !== deviceIdOf(key)) return 'issuer-mismatch'
  if (!verifySignature(key, link.signingInput, link.signature)) return 'signature-invalid'
  if (link.gatewayId !== context.gatewayId) return 'audience-mismatch'
  if (link.expiresAtMs - link.notBeforeMs > MAX_DELEGATION_TTL_MS) return 'lifetime-too-long'
  if (context.nowMs >= link.expiresAtMs) return 'expired'
  if (context.nowMs < link.notBeforeMs - DELEGATION_CLOCK_TOLERANCE_MS) return 'not-yet-valid'
  if (context.revoked.has(link.delegationId) || context.revoked.has(deviceIdOf(link.holder))) return 'revoked'
  if (link.depth > (parent?.depth ?? MAX_DELEGATION_LINKS) - 1) return 'too-deep'
  return parent === null ? null : widening(parent, link, context.roles)
}

function widening(parent: LinkClaims, link: LinkClaims, roles: RoleTable): DelegationFlaw | null {
  if (link.role !== parent.role) return 'role-changed'
  if (link.expiresAtMs > parent.expiresAtMs) return 'expiry-widened'
  const role = parseRole(roles, link.role)
  const literal = new Set(parent.scopes)
  const beyond = link.scopes.filter(scope => !literal.has(scope)) as Scope[]
  const missing =
    role === null ? beyond : missingScopes(roles, role, parent.scopes as readonly Scope[], beyond)
  if (missing.length > 0) return 'scopes-widened'
  return isHeldBack(parent.caveats, link.caveats) ? null : 'caveats-widened'
}

/** Does `inner` name nothing beyond `outer`? What it leaves out it has as the links before it have it. */
function isHeldBack(outer: DelegationCaveats, inner: DelegationCaveats): boolean {
  const { calls, connections } = outer
  if (connections !== null && (inner.connections ?? connections) > connections) return false
  return calls === null || inner.calls === null || inner.calls.every(call => calls.includes(call))
}

const verified = new WeakSet<object>()

function markVerified(links: readonly ReadLink[], last: ReadLink, root: DeviceId): VerifiedDelegation {
  const delegation = {
    root,
    role: last.role,
    links: Object.freeze(links.map(toLink)),
    expiresAtMs: last.expiresAtMs,
    calls: links.reduce<readonly string[] | null>((calls, link) => link.caveats.calls ?? calls, null),
  }
  verified.add(Object.freeze(delegation))
  return delegation as unknown as VerifiedDelegation
}

function toLink(link: ReadLink): DelegationLink {
  const { delegationId, expiresAtMs, depth, caveats } = link
  return Object.freeze({
    delegationId,
    holderId: deviceIdOf(link.holder),
    scopes: Object.freeze(link.scopes) as readonly Scope[],
    expiresAtMs,
    depth,
    caveats: Object.freeze(caveats),
  })
}

/** Was this delegation verified in this process, and is it not merely something of its shape? */
export function isVerifiedDelegation(value: unknown): value is VerifiedDelegation {
  // Of what is no object `has` says no, though its type asks for one.
  return verified.has(value as object)
}
