/** What a store must come to, in a hundred lines and in memory: written apart from its rules and its SQL. */

export const NAMES = ['read', 'write', 'approvals', 'admin'] as const
export type Name = (typeof NAMES)[number]

const IMPLIED: Readonly<Record<Name, readonly Name[]>> = {
  read: ['read'],
  write: ['read', 'write'],
  approvals: ['approvals'],
  admin: ['read', 'write', 'approvals', 'admin'],
}

export function closure(names: Iterable<Name>): Set<Name> {
  return new Set([...names].flatMap(name => IMPLIED[name]))
}

const CEILING = closure(['write', 'approvals'])

export interface ModelDevice {
  readonly standing: 'trusted-local' | 'approved'
  readonly generation: number | null
  revoked: boolean
  grant: Set<Name> | null
  narrowed: Set<Name> | null
}

interface ModelRequest {
  readonly device: number
  readonly name: Name
  /** Was the gateway token shown when it was opened? */
  readonly token: boolean
  readonly createdMs: number
  seenMs: number
}

export type Expected = 'admitted' | 'pairing-required' | 'device-revoked'

const MINUTE_MS = 60_000

export class StoreModel {
  readonly devices = new Map<number, ModelDevice>()
  requests: ModelRequest[] = []
  nowMs: number
  #generation = 0
  readonly #closed = new Set<number>()

  constructor(nowMs: number) {
    this.nowMs = nowMs
  }

  /** A connect, and what it leaves behind. */
  connect(
    index: number,
    name: Name,
    { local, token }: { readonly local: boolean; readonly token: boolean },
  ): Expected {
    const device = this.devices.get(index)
    if (device?.revoked) return 'device-revoked'
    if (device?.grant?.has(name)) return 'admitted'
    const standing = device?.standing ?? 'trusted-local'
    const within = closure(device?.narrowed ?? ['admin'])
    const reach = local && standing === 'trusted-local' && CEILING.has(name) && within.has(name)
    if (reach && device !== undefined) return 'admitted'
    if (reach && token && !this.#closed.has(this.#generation)) {
      const generation = this.#generation
      this.devices.set(index, { standing, generation, revoked: false, grant: null, narrowed: null })
      return 'admitted'
    }
    this.#ask(index, name, token)
    return 'pairing-required'
  }

  #ask(device: number, name: Name, token: boolean): void {
    const open = this.open().find(each => each.device === device && each.name === name)
    if (open === undefined)
      this.requests.push({ device, name, token, createdMs: this.nowMs, seenMs: this.nowMs })
    else if (this.nowMs - open.seenMs >= 1_000) open.seenMs = this.nowMs
  }

  open(): readonly ModelRequest[] {
    this.requests = this.requests.filter(({ seenMs, createdMs }) => {
      return this.nowMs < Math.min(seenMs + 10 * MINUTE_MS, createdMs + 24 * 60 * MINUTE_MS)
    })
    return this.requests
  }

  close(device: number, name: Name): void {
    this.requests = this.requests.filter(each => each.device !== device || each.name !== name)
  }

  /** `token`: the device, where it is new, had shown the gateway token: its program can read it. */
  give(index: number, name: Name, token = false): void {
    const generation = token ? this.#generation : null
    const fresh = {
      standing: 'approved',
      generation,
      revoked: false,
      grant: null,
      narrowed: null,
    } as const
    const device: ModelDevice = this.devices.get(index) ?? { ...fresh }
    device.grant = closure([...(device.grant ?? []), name])
    this.devices.set(index, device)
  }

  revoke(index: number, keepRegistration: boolean): void {
    const device = this.devices.get(index)
    if (device === undefined) return
    if (!keepRegistration && device.generation !== null) {
      this.#closed.add(device.generation).add(this.#generation)
    }
    if (device.revoked) return
    device.revoked = true
    device.grant = null
    this.requests = this.requests.filter(each => each.device !== index)
  }

  narrow(index: number, names: readonly Name[]): void {
    const device = this.devices.get(index)
    if (device === undefined || device.revoked) return
    const within = closure(names)
    device.narrowed = within
    if (device.grant !== null) device.grant = new Set([...device.grant].filter(name => within.has(name)))
  }

  reinstate(index: number): void {
    const device = this.devices.get(index)
    if (device !== undefined) device.revoked = false
  }

  rotate(): void {
    this.#generation += 1
  }
}
