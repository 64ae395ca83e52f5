import { connect, createServer, type Socket } from 'node:net'

/** A TCP proxy of the test's own, in front of one server or of several in turns. */
export interface TcpProxy {
  readonly port: number
  /** Where new connections go, in turns. One that refuses is passed over. */
  lead(ports: readonly number[]): void
  /** Break every connection there is. */
  cut(): void
  /** Hold back what either side sends, or let it through again. */
  stall(stalled: boolean): void
  /** Once a client sends bytes with this text in them: they are passed on, and the connection is broken, or held back, at once. */
  after(text: string, act: 'cut' | 'stall'): void
  /** How many connections there are. */
  count(): number
  close(): Promise<void>
}

export async function startTcpProxy(first: readonly number[]): Promise<TcpProxy> {
  let targets = first
  let turn = 0
  let stalled = false
  let trap: { readonly text: string; readonly act: 'cut' | 'stall' } | null = null
  const pairs = new Set<readonly [Socket, Socket]>()
  const server = createServer(client => {
    client.on('error', () => undefined)
    dial(client, targets.length)
  })
  const dial = (client: Socket, left: number): void => {
    if (left === 0) return void client.destroy()
    const port = targets[turn++ % targets.length] ?? 0
    const upstream = connect(port, '127.0.0.1')
    upstream.once('error', () => {
      if (upstream.pending) dial(client, left - 1)
    })
    upstream.once('connect', () => join(client, upstream))
  }
  const join = (client: Socket, upstream: Socket): void => {
    const pair = [client, upstream] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [upstream, client]] as const) {
      from.on('error', () => undefined)
      from.on('close', () => {
        pairs.delete(pair)
        to.destroy()
      })
      from.on('end', () => to.end())
    }
    upstream.on('data', chunk => void client.write(chunk))
    client.on('data', chunk => {
      if (trap === null || !chunk.includes(trap.text)) return void upstream.write(chunk)
      const { act } = trap
      trap = null
      if (act === 'stall') stall(true)
      upstream.write(chunk, () => act === 'cut' && client.destroy())
    })
    if (stalled) for (const each of pair) each.pause()
  }
  const stall = (now: boolean) => {
    stalled = now
    for (const each of [...pairs].flat()) {
      if (now) each.pause()
      else each.resume()
    }
  }
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const cut = () => {
    for (const [client, upstream] of [...pairs]) {
      client.resetAndDestroy()
      upstream.destroy()
    }
  }
  return {
    port: address.port,
    lead: ports => {
      targets = ports
    },
    cut,
    stall,
    after: (text, act) => {
      trap = { text, act }
    },
    count: () => pairs.size,
    close: async () => {
      const closed = new Promise(resolve => server.close(resolve))
      cut()
      await closed
    },
  }
}
