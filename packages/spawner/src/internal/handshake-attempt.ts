import { type GatewayVerdict, readChallenge, verifyGatewayAnswer } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import { type HandshakeStep, SpawnerError } from '../errors.ts'
import {
  adviceFor,
  type PeerRefusal,
  readPeerRefusal,
  readRefusalFrame,
  refusalOfClose,
  refusalOfStatus,
} from '../peer-refusal.ts'
import { isFinalClose } from '../reconnection.ts'
import { type ConnectFacts, type ConnectFrame, connectFrame } from './connect-frame.ts'
import { GatewaySocket, type Incoming, type SocketEnd } from './gateway-socket.ts'
import { type Hello, missingIn, readHello } from './hello.ts'
import { surroundings } from './surroundings.ts'

/** One attempt to be admitted. */
export interface AttemptPlan extends ConnectFacts {
  readonly url: string
  readonly source: 'note' | 'option'
  readonly limitMs: number
  readonly signal: AbortSignal | undefined
}

/** A socket after hello, and what hello said. */
export interface Admitted {
  readonly socket: GatewaySocket
  readonly connectionId: string | null
  /** At least one frame in this time, or the gateway is gone; `null` where it promised none. */
  readonly tickIntervalMs: number | null
  /** The gateway's clock minus this machine's, in ms: as the challenge had it. */
  readonly clockAheadMs: number
}

const CONNECT_ID = 'connect'
/** How long a gateway may take to close after it refused; the refusal does not wait longer for its close code. */
const CLOSE_CODE_PATIENCE_MS = 1_000

/**
 * Dial, prove, and be admitted with exactly the wish. Whatever fails, no socket is left behind.
 *
 * @throws {@link SpawnerError}; the signal's reason; `HandshakeError` where the wish cannot be said.
 */
export async function attemptHandshake(plan: AttemptPlan): Promise<Admitted> {
  plan.signal?.throwIfAborted()
  const socket = new GatewaySocket(plan.url)
  const progress: { step: HandshakeStep; timedOut: boolean } = { step: 'dial', timedOut: false }
  const callOffLimit = afterReading(plan.limitMs, () => {
    progress.timedOut = true
    socket.cut('')
  })
  const abort = (): void => socket.cut('')
  plan.signal?.addEventListener('abort', abort, { once: true })
  try {
    return await shakeHands(socket, plan, step => {
      progress.step = step
    })
  } catch (error) {
    socket.hangUp()
    plan.signal?.throwIfAborted()
    if (!progress.timedOut) throw error
    const step = progress.step === 'dial' && socket.opened ? 'challenge' : progress.step
    const fix = 'See whether the gateway is overloaded, or something else listens there.'
    throw new SpawnerError('HANDSHAKE_TIMEOUT', { url: plan.url, step, limitMs: plan.limitMs, fix })
  } finally {
    callOffLimit()
    plan.signal?.removeEventListener('abort', abort)
  }
}

/**
 * Calls back after that many ms, and not before what has come by then was read: a process that the machine did not run for a
 * while finds its timer over first, and the answer that it waits for only then. Returns how to call it off.
 */
function afterReading(milliseconds: number, callback: () => void): () => void {
  let reading: NodeJS.Immediate | undefined
  const timer = setTimeout(() => {
    reading = setImmediate(callback)
  }, milliseconds)
  return () => {
    clearTimeout(timer)
    clearImmediate(reading)
  }
}

async function shakeHands(
  socket: GatewaySocket,
  plan: AttemptPlan,
  enter: (step: HandshakeStep) => void,
): Promise<Admitted> {
  const first = await socket.next()
  await throwIfRefused(first, socket, plan)
  const challenge = first.kind === 'frame' ? readChallenge(first.frame) : null
  if (challenge === null) throw failureOf(first, socket.opened ? 'challenge' : 'dial', plan)
  const clockAheadMs = challenge.ts - surroundings.nowMs()
  enter('hello')
  const sent = connectFrame(CONNECT_ID, plan, challenge)
  socket.send(sent.text)
  for (;;) {
    const incoming = await socket.next()
    if (incoming.kind !== 'frame') throw failureOf(incoming, 'hello', plan)
    await throwIfRefused(incoming, socket, plan)
    const { frame } = incoming
    if (frame.type === 'event' || frame.id !== CONNECT_ID || !frame.ok) continue
    // A note is left by gateways of ours, which say what they gave.
    const mayBeSilent = plan.source === 'option' && plan.proof.family === 'openclaw'
    const hello = readHello(frame.payload, plan.role, mayBeSilent)
    if (hello === null) throw unexpected('hello', 'an answer without connection id, role and scopes', plan)
    checkGateway(hello, sent, plan)
    const missing = missingIn(hello, plan.role, plan.scopes)
    if (missing.length > 0) throw tooLittle(hello.scopes ?? [], missing, plan)
    const { connectionId, tickIntervalMs } = hello
    return { socket, connectionId, tickIntervalMs, clockAheadMs }
  }
}

/** Nothing that this socket says counts before the pinned gateway has answered for it. */
function checkGateway(hello: Hello, sent: ConnectFrame, plan: AttemptPlan): void {
  if (plan.proof.family === 'openclaw' || sent.transcriptHash === null) return
  const { gatewayId } = plan.proof
  const found = verifyGatewayAnswer(hello.gateway, gatewayId, {
    transcriptHash: sent.transcriptHash,
    connectionId: hello.connectionId ?? '',
    role: plan.role,
    scopes: hello.scopes ?? [],
  })
  if (found.verdict !== 'proven') throw unproven(found, gatewayId, plan)
}

function unproven(
  found: Exclude<GatewayVerdict, { readonly verdict: 'proven' }>,
  expected: DeviceId,
  { url }: AttemptPlan,
): SpawnerError {
  return new SpawnerError('GATEWAY_UNPROVEN', {
    url,
    expected,
    found: found.verdict === 'another' ? found.gatewayId : null,
    reason: found.verdict,
    fix: 'See what listens at this address: it is not the gateway that is meant.',
  })
}

async function throwIfRefused(incoming: Incoming, socket: GatewaySocket, plan: AttemptPlan): Promise<void> {
  const error = incoming.kind === 'frame' ? readRefusalFrame(incoming.frame, CONNECT_ID) : null
  if (error !== null) throw refused(readPeerRefusal(error, await closeCodeOf(socket)), plan)
}

async function closeCodeOf(socket: GatewaySocket): Promise<number | null> {
  let late = false
  const timer = setTimeout(() => {
    late = true
    socket.cut('')
  }, CLOSE_CODE_PATIENCE_MS)
  try {
    for (;;) {
      const incoming = await socket.next()
      if (incoming.kind === 'closed') return late ? null : incoming.code
      if (incoming.kind === 'failed' || incoming.kind === 'rejected') return null
    }
  } finally {
    clearTimeout(timer)
  }
}

/** What an end, or a message out of place, means at this step. */
function failureOf(incoming: Incoming, step: HandshakeStep, plan: AttemptPlan): SpawnerError {
  switch (incoming.kind) {
    case 'frame':
      return unexpected(step, 'a frame that is no challenge', plan)
    case 'noise':
      return unexpected(step, 'a message that is no frame', plan)
    default:
      return endedEarly(incoming, step, plan)
  }
}

function endedEarly(end: SocketEnd, step: HandshakeStep, plan: AttemptPlan): SpawnerError {
  const { url } = plan
  switch (end.kind) {
    case 'failed':
      return end.errno === null
        ? unexpected(step, 'no WebSocket server', plan, end.error)
        : new SpawnerError(
            'GATEWAY_UNREACHABLE',
            { url, errno: end.errno, source: plan.source, fix: adviceForSilence(plan.source) },
            { cause: end.error },
          )
    case 'rejected':
      return [401, 403, 429, 503].includes(end.status)
        ? refused(refusalOfStatus(end.status, end.body), plan)
        : unexpected(step, `HTTP ${end.status} instead of an upgrade`, plan)
    case 'closed': {
      const refusal = refusalOfClose(end.code, end.reason)
      if (isFinalClose(end.code)) return refused(refusal, plan)
      const fix = 'Look at what the gateway logged; it gave no answer.'
      const facts = { closeCode: end.code, reason: refusal.reason, fix }
      return new SpawnerError('GATEWAY_HUNG_UP', { url, step, ...facts })
    }
  }
}

function refused(refusal: PeerRefusal, plan: AttemptPlan): SpawnerError {
  const credential = plan.credential?.kind ?? 'none'
  return new SpawnerError('ADMISSION_REFUSED', {
    ...refusal,
    url: plan.url,
    credential,
    fix: adviceFor(refusal),
  })
}

function tooLittle(granted: readonly string[], missing: readonly string[], plan: AttemptPlan): SpawnerError {
  const fix = 'Ask for less, or have the gateway give this device more.'
  return new SpawnerError('SCOPES_MISSING', { url: plan.url, asked: plan.scopes, granted, missing, fix })
}

function unexpected(step: HandshakeStep, found: string, plan: AttemptPlan, cause?: Error): SpawnerError {
  const fix = 'See what listens at this address.'
  const detail = { url: plan.url, step, found, fix }
  return new SpawnerError('PROTOCOL_UNEXPECTED', detail, cause && { cause })
}

function adviceForSilence(source: 'note' | 'option'): string {
  return source === 'note'
    ? 'Start the gateway of this install: the one that left its note does not run any more.'
    : 'Check the address, and whether the gateway runs.'
}
