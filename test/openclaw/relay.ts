import { WebSocket, WebSocketServer } from 'ws'

/** A gateway's address through which every frame of a client is seen before the gateway gets it. */
export interface Relay {
  readonly url: string
  close(): Promise<void>
}

/**
 * Stand between clients and a gateway. `pass` is asked about each call of a client, by its method: where it says no, the
 * frame is dropped, and the client waits for its answer.
 */
export async function startRelay(gatewayUrl: string, pass: (method: string) => boolean): Promise<Relay> {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  server.on('connection', client => {
    const upstream = new WebSocket(gatewayUrl)
    upstream.on('message', data => client.send(String(data)))
    client.on('message', data => {
      if (pass(JSON.parse(String(data)).method)) upstream.send(String(data))
    })
    upstream.on('close', (code, reason) => client.close(code === 1006 ? 1011 : code, String(reason)))
    upstream.on('error', () => client.terminate())
    client.on('close', () => upstream.terminate())
    client.on('error', () => upstream.terminate())
  })
  await new Promise(resolve => server.once('listening', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the relay has no port')
  return {
    url: `ws://127.0.0.1:${address.port}`,
    close: () =>
      new Promise(resolve => {
        for (const client of server.clients) client.terminate()
        server.close(() => resolve())
      }),
  }
}
