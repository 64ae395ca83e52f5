import { delegate } from '@holdfast/handshake'
import { formatPublicKey, type PublicKey } from '@holdfast/identity'
import { DEFAULT_DELEGATION_TTL_MS, type DelegatedOptions } from '../delegated-options.ts'
import { takeChildKey } from './child-key.ts'
import { formatBundle, formatRenewal } from './delegation-bundle.ts'
import { type DelegationSource, sourceOf } from './delegation-source.ts'

/** What goes to one child. */
export interface HandDown {
  readonly app: string
  /** The child's key and its delegation. Secret: zero it once it is written. */
  readonly bundle: Buffer
  readonly ttlMs: number
  /** The same right anew, from now on, as a line for the second channel: no secret is in it. */
  readonly renewal: () => string
}

/**
 * A key for a child, and a right for that key. The key goes away with the bundle: to renew the right only the public half is
 * needed.
 *
 * @throws as {@link sourceOf} and `delegate` do; nothing was signed then
 */
export function makeHandDown(options: DelegatedOptions): HandDown {
  const source = sourceOf(options)
  const { ttlMs = DEFAULT_DELEGATION_TTL_MS } = options
  const { seed, publicKey: holder } = takeChildKey()
  try {
    const given = { chain: chainFor(source, holder, options), url: source.url, gatewayId: source.gatewayId }
    const wish = { role: source.role, scopes: [...options.scopes].sort() }
    const bundle = formatBundle(seed, { ...given, ...wish, publicKey: formatPublicKey(holder) })
    const renewal = (): string => {
      const now = sourceOf(options)
      return formatRenewal({ chain: chainFor(now, holder, options), url: now.url })
    }
    return { app: source.app, bundle, ttlMs, renewal }
  } finally {
    seed.fill(0)
  }
}

function chainFor(source: DelegationSource, holder: PublicKey, options: DelegatedOptions): readonly string[] {
  return delegate({
    issuer: source.issuer,
    chain: source.chain,
    holder,
    gatewayId: source.gatewayId,
    role: source.role,
    scopes: options.scopes,
    nowMs: source.nowMs,
    ttlMs: options.ttlMs ?? DEFAULT_DELEGATION_TTL_MS,
    ...(options.depth !== undefined && { depth: options.depth }),
    ...(options.caveats !== undefined && { caveats: options.caveats }),
  })
}
