import { createPlainKey, type PlainConnection, type PlainKey, plainConnect } from './plain-client.ts'
import type { RealGateway } from './real-gateway.ts'

/** What a gateway has on its books, by its own account. */
export interface Books {
  readonly paired: readonly string[]
  readonly pending: readonly string[]
}

const observers = new Map<string, PlainKey>()

/**
 * The devices and requests of a gateway, without the device that looks. It is paired when it first looks, and leaves no
 * request.
 */
export async function booksOf(gateway: RealGateway): Promise<Books> {
  const key = observers.get(gateway.home.directory) ?? createPlainKey()
  observers.set(gateway.home.directory, key)
  return withObserver(gateway, key, async connection => {
    const answer = await connection.call('device.pair.list')
    const list = answer['payload'] as Record<'paired' | 'pending', { deviceId: string; requestId: string }[]>
    return {
      paired: list.paired.map(({ deviceId }) => deviceId).filter(id => id !== key.deviceId),
      pending: list.pending.map(({ deviceId }) => deviceId),
    }
  })
}

async function withObserver<Result>(
  gateway: RealGateway,
  key: PlainKey,
  action: (connection: PlainConnection) => Promise<Result>,
): Promise<Result> {
  const answer = await plainConnect(key, {
    url: gateway.url,
    token: gateway.home.gatewayToken,
    scopes: ['operator.admin', 'operator.read', 'operator.write', 'operator.approvals', 'operator.pairing'],
    displayName: 'observer',
  })
  if (!answer.ok) throw new Error(`the observer was refused: ${JSON.stringify(answer)}`)
  try {
    return await action(answer.connection)
  } finally {
    await answer.connection.close()
  }
}
