import type { Duplex } from 'node:stream'
import { Roster } from './internal/roster.ts'
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
  readonly #held = new WeakMap<LiveConnection, number>()
  readonly #holders = new Roster<LiveConnection>()
  #total = 0

  constructor(limits: UnfinishedLimits) {
    this.#limits = limits
  }

  /** Counts the bytes of a connection from now on, until it is closed. */
  watch(raw: Duplex, connection: LiveConnection): void {
    // Frames of control are read at once; they count only where something else is kept beside them.
    let controlBytes = 0
    const forget = () => {
      controlBytes = 0
      this.#hold(connection, 0)
    }
    const onControl = (payload: Buffer) => {
      controlBytes += CONTROL_HEADER_BYTES + payload.length
      if (controlBytes >= (this.#held.get(connection) ?? 0)) forget()
    }
    raw.prependListener('data', (chunk: Buffer) => this.#add(connection, chunk.length))
    connection.socket.on('message', forget)
    connection.socket.on('ping', onControl)
    connection.socket.on('pong', onControl)
    connection.socket.on('close', forget)
  }

  #add(connection: LiveConnection, bytes: number): void {
    if (connection.cutBy !== null) return
    const held = (this.#held.get(connection) ?? 0) + bytes
    this.#hold(connection, held)
    if (held > this.#limits.frameBytes + SLACK_BYTES) {
      this.#cut(connection, 'frame-too-large', 1009, 'frame too large')
    }
    while (this.#total > this.#limits.unfinishedBytes) {
      const heaviest = this.#heaviest()
      if (heaviest === null) break
      this.#cut(heaviest, 'messages-unfinished', 1013, 'too many unfinished messages')
    }
  }

  #hold(connection: LiveConnection, bytes: number): void {
    this.#total += bytes - (this.#held.get(connection) ?? 0)
    this.#held.set(connection, bytes)
    if (bytes === 0) this.#holders.delete(connection)
    else this.#holders.add(connection)
  }

  /** Of the device that holds most, so that nobody who sends one message pays for whoever begins hundreds. */
  #heaviest(): LiveConnection | null {
    const byDevice = new Map<string | null, { bytes: number; connection: LiveConnection; most: number }>()
    for (const connection of this.#holders.list()) {
      const bytes = this.#held.get(connection) ?? 0
      const sum = byDevice.get(connection.deviceId) ?? { bytes: 0, connection, most: 0 }
      sum.bytes += bytes
      if (bytes > sum.most) Object.assign(sum, { connection, most: bytes })
      byDevice.set(connection.deviceId, sum)
    }
    const [first] = [...byDevice.values()].sort((a, b) => b.bytes - a.bytes)
    return first?.connection ?? null
  }

  #cut(connection: LiveConnection, ...[by, closeCode, reason]: Parameters<LiveConnection['cut']>): void {
    this.#hold(connection, 0)
    connection.cut(by, closeCode, reason, true)
  }
}
