/** What a gate spends on peers. Counts, bytes and milliseconds. */
export interface GateLimits {
  /**
   * Connections of `startGateway`'s server that have not been upgraded, for each class: this machine's, others'.
   * Past it a random one is evicted. @defaultValue 256
   */
  readonly socketsBeforeUpgrade: number
  /** Sockets that have not authenticated, for each class: local, remote, browser. @defaultValue 64 */
  readonly unauthenticatedSockets: number
  /** From the upgrade to the decision. @defaultValue 5,000 ms */
  readonly handshakeMs: number
  /** Size of the `connect` frame. @defaultValue 16,384 bytes */
  readonly connectBytes: number
  /** Longest wait before a wrong credential is answered. @defaultValue 5,000 ms */
  readonly wrongTokenDelayMs: number
  /** Sockets that wait for such an answer; past it a random one is answered at once. @defaultValue 256 */
  readonly waitingForAnswer: number
  /** Connections of one device; all peers without a device count as one. @defaultValue 256 */
  readonly connectionsPerDevice: number
  /** Size of a message of an admitted connection, as `hello-ok` tells it. @defaultValue 1,048,576 bytes */
  readonly frameBytes: number
  /**
   * Bytes of messages that have begun and not ended, of all connections that the gate upgraded; at least `frameBytes`.
   * Past it the device that holds most of them loses a connection. @defaultValue 67,108,864 bytes
   */
  readonly unfinishedBytes: number
  /** Unsent bytes of one connection before it is cut. @defaultValue 52,428,800 bytes, the peer's known value */
  readonly bufferedBytes: number
  /** Calls of one connection that are being answered. @defaultValue 128 */
  readonly callsInFlight: number
  /** Between two `tick` events, where the gate answers calls; and between two pings. @defaultValue 30,000 ms */
  readonly tickIntervalMs: number
  /** How long live sockets outlive a store that does not answer. @defaultValue 60,000 ms */
  readonly storeLossMs: number
  /** How long a refused or cut peer may take to close. @defaultValue 1,000 ms */
  readonly closeGraceMs: number
}

/** The limits of a gate whose author gives none. */
export const DEFAULT_LIMITS: GateLimits = {
  socketsBeforeUpgrade: 256,
  unauthenticatedSockets: 64,
  handshakeMs: 5_000,
  connectBytes: 16_384,
  wrongTokenDelayMs: 5_000,
  waitingForAnswer: 256,
  connectionsPerDevice: 256,
  frameBytes: 1_048_576,
  unfinishedBytes: 67_108_864,
  bufferedBytes: 52_428_800,
  callsInFlight: 128,
  tickIntervalMs: 30_000,
  storeLossMs: 60_000,
  closeGraceMs: 1_000,
}

/** @throws TypeError where a limit is not a whole number above zero, or could never be kept together with another. */
export function completeLimits(given: Partial<GateLimits>): GateLimits {
  const limits = { ...DEFAULT_LIMITS, ...given }
  for (const [name, value] of Object.entries(limits)) {
    if (!Object.hasOwn(DEFAULT_LIMITS, name)) throw new TypeError(`unknown limit ${name}`)
    if (!Number.isSafeInteger(value) || value < 1)
      throw new TypeError(`${name} must be a whole number above 0`)
  }
  if (limits.unfinishedBytes < limits.frameBytes) throw new TypeError('unfinishedBytes is below frameBytes')
  return limits
}
