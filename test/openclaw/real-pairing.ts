import { createPlainKey, type PlainConnection, type PlainKey, plainConnect } from './plain-client.ts'
import type { RealGateway } from './real-gateway.ts'

/** What a gateway has on its books, by its own account. */
export interface Books {
  readonly paired: readonly string[]
  readonly pending: readonly string[]
}

const OBSERVER = 'observer'
const observers = new Map<string, PlainKey>()

/** The devices and requests of a gateway, without the device that looks, which leaves no request. */
export async function booksOf(gateway: RealGateway): Promise<Books> {
  return withObserver(gateway, async connection => {
    const answer = await connection.call('device.pair.list')
    type Entry = { readonly deviceId: string; readonly displayName?: string }
    const list = answer['payload'] as Record<'paired' | 'pending', readonly Entry[]>
    return {
      paired: list.paired
        .filter(({ displayName }) => displayName?.startsWith(OBSERVER) !== true)
        .map(({ deviceId }) => deviceId),
      pending: list.pending.map(({ deviceId }) => deviceId),
    }
  })
}

/** What came into the books: other tests of the same gateway have left theirs there. */
export function newSince(before: Books, after: Books): Books {
  return {
    paired: after.paired.filter(id => !before.paired.includes(id)),
    pending: after.pending.filter(id => !before.pending.includes(id)),
  }
}

/** Whom a gateway asked its operators about while something ran: the devices that it waited for a person to let in. */
export function promptsDuring(gateway: RealGateway, action: () => Promise<void>): Promise<readonly string[]> {
  return withObserver(gateway, async connection => {
    await action()
    // What was told before this answer has come in before it.
    await connection.call('device.pair.list')
    return connection.events
      .filter(({ event }) => event === 'device.pair.requested')
      .map(({ payload }) => String(payload['deviceId']))
  })
}

/** A connection with everything, of a device of its own. One a gateway: it is paired when it first looks. */
export async function withObserver<Result>(
  gateway: RealGateway,
  action: (connection: PlainConnection) => Promise<Result>,
): Promise<Result> {
  const key = observers.get(gateway.home.directory) ?? createPlainKey()
  observers.set(gateway.home.directory, key)
  const answer = await plainConnect(key, {
    url: gateway.url,
    token: gateway.home.gatewayToken,
    scopes: ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing'],
    displayName: `${OBSERVER} ${key.deviceId.slice(0, 8)}`,
  })
  if (!answer.ok) throw new Error(`the observer was refused: ${JSON.stringify(answer)}`)
  try {
    return await action(answer.connection)
  } finally {
    await answer.connection.close()
  }
}
