import { WebSocket } from 'ws'
import type { GateClock } from '../clock.ts'

/** What ws leaves without words when it ends a socket whose bytes break the protocol. */
const REASONS: Readonly<Record<number, string>> = {
  1002: 'websocket protocol error',
  1007: 'text is not utf-8',
  1008: 'too many fragments',
  1009: 'frame too large',
}

/** A socket that never ends without saying why: where ws closes it by itself, the reason is filled in. */
export class ReasonedSocket extends WebSocket {
  override close(code?: number, data?: string | Buffer): void {
    super.close(code, data ?? (code === undefined ? undefined : REASONS[code]))
  }
}

/**
 * Closes a socket, and lets go of it where its peer does not answer in time. With `deaf`, not one more byte is read from
 * it, so that a peer in the middle of something large cannot go on.
 */
export function closeSocket(
  socket: WebSocket,
  close: { readonly code: number; readonly reason: string; readonly deaf?: boolean },
  patience: { readonly clock: GateClock; readonly graceMs: number },
): void {
  if (socket.readyState === WebSocket.CLOSED) return
  socket.close(close.code, close.reason)
  if (close.deaf === true) socket.pause()
  const callOff = patience.clock.after(patience.graceMs, () => socket.terminate())
  socket.once('close', callOff)
}
