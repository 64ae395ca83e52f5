import type { DeviceId } from '@holdfast/identity'

/** When it is written at the latest, in ms, and how many devices are kept in memory until then. */
const WRITE_EVERY_MS = 5_000
const MOST_PENDING = 500

/** Last-seen times, written behind in batches. Losing the last few seconds of them costs nobody anything. */
export class SeenTimes {
  readonly #write: (seen: ReadonlyMap<DeviceId, number>) => Promise<void>
  #pending = new Map<DeviceId, number>()
  #timer: NodeJS.Timeout | null = null

  constructor(write: (seen: ReadonlyMap<DeviceId, number>) => Promise<void>) {
    this.#write = write
  }

  note(deviceId: DeviceId, atMs: number): void {
    this.#pending.set(deviceId, atMs)
    if (this.#pending.size >= MOST_PENDING) this.#flushBehind()
    else this.#timer ??= setTimeout(() => this.#flushBehind(), WRITE_EVERY_MS).unref()
  }

  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    const seen = this.#pending
    this.#pending = new Map()
    if (seen.size > 0) await this.#write(seen)
  }

  // Nobody waits for it, and a time that could not be written is noted again with the device's next connection.
  #flushBehind(): void {
    this.flush().catch(() => undefined)
  }
}
