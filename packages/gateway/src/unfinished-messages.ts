import type { Duplex } from 'node:stream'
import { type Place, Roster } from './internal/roster.ts'
import type { LiveConnection } from './live-connection.ts'

/** A masked header, which every frame of control has (RFC 6455 §5.5). */
const CONTROL_HEADER_BYTES = 6
/** What may come in one piece with the end of a message, and the headers of its fragments. */
const SLACK_BYTES = 131_072

export interface UnfinishedLimits {
  readonly frameBytes: number
  readonly unfinishedBytes: number
}

/**
 * What live peers make the gate keep for messages that they have begun and not ended, counted as it comes in: a piece of a
 * message keeps the whole chunk that it came with.
 */
export class UnfinishedMessages {
  readonly #limits: UnfinishedLimits
  readonly #holders = new Roster<Tally>()
  #total = 0

  constructor(limits: UnfinishedLimits) {
    this.#limits = limits
  }

  /** Counts the bytes of a connection from now on, until it is closed. */
  watch(raw: Duplex, connection: LiveConnection): void {
    const tally: Tally = { connection, bytes: 0, place: null }
    // Frames of control are read at once; they count only where something else is kept beside them.
    let controlBytes = 0
    const forget = () => {
      controlBytes = 0
      this.#hold(tally, 0)
    }
    const onControl = (payload: Buffer) => {
      controlBytes += CONTROL_HEADER_BYTES + payload.length
      if (controlBytes >= tally.bytes) forget()
    }
    raw.prependListener('data', (chunk: Buffer) => this.#add(tally, chunk.length))
    connection.socket.on('message', forget)
    connection.socket.on('ping', onControl)
    connection.socket.on('pong', onControl)
    connection.socket.on('close', forget)
  }

  #add(tally: Tally, bytes: number): void {
    if (tally.connection.cutBy !== null) return
    this.#hold(tally, tally.bytes + bytes)
    if (tally.bytes > this.#limits.frameBytes + SLACK_BYTES) {
      this.#cut(tally, 'frame-too-large', 1009, 'frame too large')
    }
    while (this.#total > this.#limits.unfinishedBytes) {
      const heaviest = this.#heaviest()
      if (heaviest === null) break
      this.#cut(heaviest, 'messages-unfinished', 1013, 'too many unfinished messages')
    }
  }

  #hold(tally: Tally, bytes: number): void {
    this.#total += bytes - tally.bytes
    tally.bytes = bytes
    if (bytes > 0) tally.place ??= this.#holders.add(tally)
    else {
      tally.place?.leave()
      tally.place = null
    }
  }

  /** Of the device that holds most, so that nobody who sends one message pays for whoever begins hundreds. */
  #heaviest(): Tally | null {
    const byDevice = new Map<string | null, { bytes: number; most: Tally }>()
    for (const tally of this.#holders.list()) {
      const { deviceId } = tally.connection
      const sum = byDevice.get(deviceId) ?? { bytes: 0, most: tally }
      sum.bytes += tally.bytes
      if (tally.bytes > sum.most.bytes) sum.most = tally
      byDevice.set(deviceId, sum)
    }
    const [first] = [...byDevice.values()].sort((a, b) => b.bytes - a.bytes)
    return first?.most ?? null
  }

  #cut(tally: Tally, ...[by, closeCode, reason]: Parameters<LiveConnection['cut']>): void {
    this.#hold(tally, 0)
    tally.connection.cut(by, closeCode, reason, true)
  }
}

/** What one connection makes the gate keep. */
interface Tally {
  readonly connection: LiveConnection
  bytes: number
  /** While there is anything. */
  place: Place<Tally> | null
}
