import { randomInt } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { canonicalAddress, isLoopbackAddress } from '@holdfast/handshake'
import { Budgets } from './budgets.ts'
import type { Place } from './internal/roster.ts'

/**
 * Bounds the connections of a server that have not been upgraded, those of this machine apart from others: else whoever
 * opens many and says nothing takes every file descriptor. When full, a newcomer takes the place of a random one. Call it
 * after whatever takes the upgrades: an upgrade that was refused keeps its place until it is closed.
 */
export function boundSocketsBeforeUpgrade(server: Server, limit: number): void {
  const waiting = new Budgets<Duplex>({
    limit,
    random: below => randomInt(below),
    evict: socket => socket.destroy(),
  })
  const places = new WeakMap<Duplex, Place<Duplex>>()
  server.on('connection', (socket: Socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '')
    const isLocal = address !== null && isLoopbackAddress(address)
    const place = waiting.take(isLocal ? 'local' : 'remote', socket)
    places.set(socket, place)
    socket.once('close', () => place.leave())
  })
  server.on('upgrade', (_request, socket: Duplex) => {
    if (!socket.writableEnded) places.get(socket)?.leave()
  })
}
