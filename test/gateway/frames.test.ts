import { createEphemeralIdentity } from '@holdfast/identity'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ManualClock } from './manual-clock.ts'
import {
  closeIn,
  conclude,
  connectFrame,
  dial,
  rawFrame,
  sendBytes,
  takeChallenge,
  upgradeRequest,
} from './raw-client.ts'
import { openTestGate, type TestGate, TOKEN, until } from './test-gate.ts'

let gate: TestGate
beforeAll(async () => {
  gate = await openTestGate()
})
afterAll(() => gate.close())

/** How the gate ends a socket that sends this in place of a `connect`, and that nothing was stored. */
async function endOf(first: string | Buffer) {
  const before = gate.counts()
  const peer = await dial(gate.url)
  await takeChallenge(peer)
  peer.send(first)
  const frame = await peer.next().catch(() => null)
  const close = await peer.closed
  expect(gate.counts()).toEqual(before)
  return { code: close.code, reason: close.reason, frame }
}

/** The same for bytes below the level of frames. */
async function endOfBytes(...chunks: Buffer[]) {
  const before = gate.counts()
  const { all } = sendBytes(gate.port, upgradeRequest(gate.port), ...chunks)
  const close = closeIn(await all)
  expect(gate.counts()).toEqual(before)
  return close
}

const TEXT = 1
const BINARY = 2

describe('a first frame that is no connect', () => {
  test.each<[string, string | Buffer]>([
    ['not JSON', 'hello'],
    ['empty', ''],
    ['an array', '[]'],
    ['null', 'null'],
    ['a number', '42'],
    ['no id', '{"type":"req","method":"connect"}'],
    ['binary', Buffer.from('{}')],
    ['an event', '{"type":"event","event":"x"}'],
  ])('M8 F77: %s ends with 1008 and a reason, never 1000', async (_name, first) => {
    const { code, reason, frame } = await endOf(first)
    expect({ code, reason }).toEqual({ code: 1008, reason: 'invalid connect' })
    expect(frame).toMatchObject({
      type: 'event',
      event: 'connect.refused',
      payload: { error: { details: { refusal: 'malformed', rule: '2' } } },
    })
  })

  test('M8: another method first is answered, and ends with 1008', async () => {
    const { code, frame } = await endOf('{"type":"req","id":"7","method":"health"}')
    expect(code).toBe(1008)
    expect(frame).toMatchObject({
      type: 'res',
      id: '7',
      ok: false,
      error: { details: { refusal: 'malformed' } },
    })
  })

  test('M8: text that is not UTF-8 ends with 1007, an unmasked frame with 1002, each with a reason', async () => {
    expect(await endOfBytes(rawFrame(TEXT, Buffer.from([0xff, 0xfe])))).toEqual({
      code: 1007,
      reason: 'text is not utf-8',
    })
    expect(await endOfBytes(rawFrame(TEXT, Buffer.from('{}'), { masked: false }))).toEqual({
      code: 1002,
      reason: 'websocket protocol error',
    })
  })

  test('M8: two connects before the answer are one too many', async () => {
    const peer = await dial(gate.url)
    const frame = connectFrame(await takeChallenge(peer), {
      identity: createEphemeralIdentity(),
      token: TOKEN,
    })
    peer.send(frame)
    peer.send(frame)
    expect(await peer.closed).toEqual({ code: 1008, reason: 'one connect per socket' })
  })

  test('M10: deep JSON is malformed, and the gate goes on', async () => {
    const deep = `{"type":"req","id":"1","method":"connect","params":${'['.repeat(7_000)}${']'.repeat(7_000)}}`
    expect((await endOf(deep)).code).toBe(1008)
    expect((await endOf('['.repeat(16_000))).code).toBe(1008)
  })
})

describe('too much before authentication', () => {
  test.each([[16_385], [60_000], [5_000_000]])('M9: a first frame of %d bytes ends with 1009', async size => {
    const { code, reason } = await endOf('x'.repeat(size))
    expect({ code, reason }).toEqual({ code: 1009, reason: 'frame too large' })
  })

  test('M9: a frame that only announces five megabytes costs no more than what it sends', async () => {
    const header = rawFrame(BINARY, Buffer.alloc(5_000_000)).subarray(0, 14)
    expect(await endOfBytes(header, Buffer.alloc(20_000))).toMatchObject({ code: 1009 })
  })

  test('M9: thirty thousand tiny fragments end with 1009', async () => {
    const fragment = rawFrame(0, Buffer.from('x'), { fin: false })
    const fragments = Buffer.concat([
      rawFrame(TEXT, Buffer.from('x'), { fin: false }),
      ...Array.from({ length: 30_000 }, () => fragment),
    ])
    expect(await endOfBytes(fragments)).toMatchObject({ code: 1009 })
  })

  test('M9: a flood of pings before a connect ends, too', async () => {
    const pings = Buffer.concat(Array.from({ length: 5_000 }, () => rawFrame(9, Buffer.alloc(4))))
    expect(await endOfBytes(pings)).toMatchObject({ code: 1009 })
  })

  test('M9: a refused peer that sends on is let go of at once', async () => {
    // Time stands still here: nothing but the bytes themselves can end a peer that never answers the close.
    const still = await openTestGate({ clock: new ManualClock() })
    const { socket, all } = sendBytes(
      still.port,
      upgradeRequest(still.port),
      rawFrame(TEXT, Buffer.from('{}')),
    )
    await until(() => still.events.length === 1)
    socket.write(rawFrame(BINARY, Buffer.alloc(20_000_000)))
    await all
    expect(still.events).toMatchObject([{ event: 'refused', refusal: 'malformed' }])
    await still.close()
  })

  test('a connect of exactly 16 KiB, in fragments, is read', async () => {
    const peer = await dial(gate.url)
    const frame = connectFrame(await takeChallenge(peer), {
      identity: createEphemeralIdentity(),
      token: TOKEN,
    })
    const padded = JSON.stringify({ ...frame, params: { ...(frame['params'] as object), userAgent: '' } })
    const text = padded.replace('"userAgent":""', `"userAgent":"${'x'.repeat(16_384 - padded.length)}"`)
    for (let at = 0; at < text.length; at += 1_024) {
      peer.socket.send(text.slice(at, at + 1_024), { fin: at + 1_024 >= text.length })
    }
    expect((await conclude(peer)).hello).not.toBeNull()
    peer.socket.terminate()
  })

  test('after hello a frame may be larger', async () => {
    const large = await openTestGate({
      methods: { size: { scopes: [], handle: value => String(value).length } },
    })
    const peer = await dial(large.url)
    peer.send(connectFrame(await takeChallenge(peer), { identity: createEphemeralIdentity(), token: TOKEN }))
    await conclude(peer)
    peer.send({ type: 'req', id: 'big', method: 'size', params: 'x'.repeat(1_000_000) })
    expect(await peer.next()).toMatchObject({ id: 'big', ok: true, payload: 1_000_000 })
    peer.socket.terminate()
    await large.close()
  })
})
