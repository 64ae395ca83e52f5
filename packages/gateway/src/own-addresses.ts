import { canonicalAddress, type DialledAddress, isLoopbackAddress } from '@holdfast/handshake'

/** The end of a socket at the gate: where the peer's packets arrived. */
export interface LocalEnd {
  /** In any spelling. */
  readonly address: string
  readonly port: number
}

/** Which addresses a gate answers to: a proof that was made for another one was meant for somebody else. */
export class OwnAddresses {
  readonly #public: ReadonlySet<string>

  /** @throws TypeError where an address is not `host:port`. */
  constructor(publicAddresses: readonly string[]) {
    this.#public = new Set(publicAddresses.map(parsePublicAddress))
  }

  /** Is it the socket's own end, or one of the public addresses? `localhost` is any loopback end. */
  includes(dialled: DialledAddress, end: LocalEnd | null): boolean {
    if (this.#public.has(keyOf(dialled))) return true
    const own = canonicalAddress(end?.address ?? '')
    if (own === null || dialled.port !== end?.port) return false
    return dialled.address === 'localhost' ? isLoopbackAddress(own) : dialled.address === own
  }
}

/** `host:port`, `address:port` or `[IPv6]:port`, as clients name it who dial it. */
function parsePublicAddress(text: string): string {
  const url = URL.canParse(`ws://${text}`) ? new URL(`ws://${text}`) : null
  const written = /^(?:\[[0-9a-f:.]+\]|[a-z0-9._-]+):(\d{1,5})$/i.exec(text)
  if (url === null || written === null) throw new TypeError('a public address is host:port')
  const { hostname } = url
  return keyOf({ address: canonicalAddress(hostname) ?? hostname, port: Number(written[1]) })
}

function keyOf({ address, port }: DialledAddress): string {
  return `${address} ${port}`
}
