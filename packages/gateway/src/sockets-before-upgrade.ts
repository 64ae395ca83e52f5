import { randomInt } from 'node:crypto'
import type { Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { canonicalAddress, isLoopbackAddress } from '@holdfast/handshake'
import { Budgets } from './budgets.ts'

/**
 * Bounds the connections of a server that have not been upgraded, those of this machine apart from others: else whoever
 * opens many and says nothing takes every file descriptor. When full, a newcomer takes the place of a random one. Call it
 * after whatever takes the upgrades: an upgrade that was refused keeps its place until it is closed.
 */
export function boundSocketsBeforeUpgrade(server: Server, limit: number): void {
  const waiting = new Budgets<Duplex>(limit, below => randomInt(below))
  server.on('connection', (socket: Socket) => {
    const address = canonicalAddress(socket.remoteAddress ?? '')
    const isLocal = address !== null && isLoopbackAddress(address)
    waiting.take(isLocal ? 'local' : 'remote', socket)?.destroy()
    socket.once('close', () => waiting.release(socket))
  })
  server.on('upgrade', (_request, socket: Duplex) => {
    if (!socket.writableEnded) waiting.release(socket)
  })
}
