import { type DeviceId, type DeviceIdentity, findIdentity } from '@holdfast/identity'
import { locateState, type StateLocation } from '@holdfast/identity/state'
import { type ConnectOptions, type ConnectPlan, completeOptions } from './connect-options.ts'
import { isSpawnerError, SpawnerError } from './errors.ts'
import { type GatewayConnection, openConnection } from './gateway-connection.ts'
import { connectDelegated } from './internal/connect-delegated.ts'
import { type DelegationSource, rememberSource } from './internal/delegation-source.ts'
import { type HandedDown, takeDelegation } from './internal/handed-down.ts'
import { type Admitted, attemptHandshake } from './internal/handshake-attempt.ts'
import { surroundings } from './internal/surroundings.ts'
import { wait } from './internal/wait.ts'
import { dialledBy, findGateway, type Whereabouts } from './internal/whereabouts.ts'
import {
  backoffMs,
  nextStep,
  type Patience,
  patienceToComeBack,
  patienceToConnect,
  type TokenPhase,
} from './reconnection.ts'

/**
 * A connection to the gateway, as this install's device, with exactly the role and scopes asked for; or the reason why
 * there is none. It never creates an identity and never leaves a half-alive socket.
 *
 * In a child that was given a right of its own (see `spawnAgent`) no option is needed: it connects by that right, and never
 * by the install's key, whatever comes.
 *
 * Address and token are read anew at every attempt. A token that can be read is shown, so that a device the gateway does
 * not know is registered; a refused one is shown once more as it is then, and then, of a device it knows, the key alone. What can pass
 * by waiting is tried again, with jitter, until `connectTimeoutMs` is over: no note yet, a stale one, a gateway that is
 * restarting; one that is there and too busy to answer is given four times as long. Any other answer ends it at once.
 *
 * @throws {@link SpawnerError} `IDENTITY_MISSING`, `GATEWAY_NOT_FOUND`, `GATEWAY_UNREACHABLE`, `GATEWAY_UNEXPECTED`,
 * `GATEWAY_TOKEN_UNUSABLE`, `GATEWAY_UNPINNED`, `GATEWAY_UNPROVEN`, `PROTOCOL_UNEXPECTED`, `HANDSHAKE_TIMEOUT`, `GATEWAY_HUNG_UP`,
 * `ADMISSION_REFUSED`, `SCOPES_MISSING`, `DELEGATION_UNAVAILABLE`.
 * @throws `IdentityError` where this install's files cannot be read or trusted; `HandshakeError` `WISH_INVALID` where role,
 * scopes or client cannot be said in the protocol; the signal's reason; `TypeError` for options that cannot be meant.
 */
export async function connectToGateway(options: ConnectOptions = {}): Promise<GatewayConnection> {
  const { signal } = options
  signal?.throwIfAborted()
  const right = options.identity === undefined ? rightOf(options) : null
  if (right !== null) return connectDelegated(options, await right)
  const plan = completeOptions(options, surroundings.platform, surroundings.version)
  const location = locationOf(options)
  const identity = await identityOf(options, location)
  const joining = plan.joinCode !== null
  const search: Search = {
    plan,
    location,
    identity,
    refusedToken: null,
    joining,
    proof: 'v3',
    pinned: null,
    url: '',
    clockAheadMs: 0,
  }
  const admitted = await reachGateway(search, patienceToConnect(plan), 0, signal)
  const connection = openConnection(admitted, {
    plan,
    deviceId: identity.id,
    comeBack: (failures, ending) => reachGateway(search, patienceToComeBack(plan), failures, ending),
  })
  const { pinned: gatewayId } = search
  if (gatewayId !== null) rememberSource(connection, () => sourceFrom(search, gatewayId))
  return connection
}

/** What a device can give over its connection: a right at that gateway, by that gateway's clock. */
function sourceFrom(
  { identity, location, plan, url, clockAheadMs }: Search,
  gatewayId: DeviceId,
): DelegationSource {
  const nowMs = surroundings.nowMs() + clockAheadMs
  const app = location?.app ?? identity.location?.app ?? 'holdfast'
  return { issuer: identity, chain: [], url, gatewayId, role: plan.role, nowMs, app }
}

/** The right of its own that this process has, or `null`: it is the device itself, or nobody. */
function rightOf(options: ConnectOptions): Promise<HandedDown> | HandedDown | null {
  const { delegation, url, gatewayId, role, scopes, app = 'holdfast' } = options
  if (delegation === undefined) return takeDelegation(appOf(options))
  if (url === undefined || gatewayId === undefined || role === undefined || scopes === undefined) {
    throw new TypeError('beside a delegation url, gatewayId, role and scopes are required')
  }
  const { identity, chain } = delegation
  return { identity, current: { chain, url }, gatewayId, role, scopes, app, onRenewal: () => () => undefined }
}

/** Of which app a right may have been handed down; `null`: of whichever there is one. */
function appOf({ app, directory }: ConnectOptions): string | null {
  return app ?? (directory === undefined ? null : 'holdfast')
}

/** What stays the same over all attempts of one connection, and what they learn. */
interface Search {
  readonly plan: ConnectPlan
  readonly location: StateLocation | null
  readonly identity: DeviceIdentity
  /** The token in the state directory, when the gateway refused it last. As long as it stays, it is not shown again. */
  refusedToken: string | null
  /** Is the join code to be shown? No more, once it let this device in, or was refused. */
  joining: boolean
  /** Which string is signed. What the gateway has taken once is not given up for another answer of it. */
  proof: 'v3' | 'v3-known' | 'v2'
  /** The gateway that admitted this connection first: it comes back to no other. */
  pinned: DeviceId | null
  /** Where it was reached last, and how far its clock is ahead of this machine's. */
  url: string
  clockAheadMs: number
}

function locationOf(options: ConnectOptions): StateLocation | null {
  const { app, profile, directory, identity } = options
  if (app !== undefined || directory !== undefined) return locateState({ app, profile, directory })
  return identity?.location ?? null
}

async function identityOf(options: ConnectOptions, location: StateLocation | null): Promise<DeviceIdentity> {
  if (options.identity !== undefined) return options.identity
  const { app, profile, directory, signal } = options
  const found = await findIdentity({ app, profile, directory, signal })
  if (found !== null) return found
  const fix = 'Open the identity once with openIdentity, in the process that starts the others.'
  throw new SpawnerError('IDENTITY_MISSING', { path: location?.deviceKey ?? '', fix })
}

/** Attempt after attempt, until one is admitted, one is refused for good, or the time is over. */
async function reachGateway(
  search: Search,
  patience: Patience,
  failuresBefore: number,
  signal: AbortSignal | undefined,
): Promise<Admitted> {
  const startedMs = surroundings.clock()
  let phase: TokenPhase = 'token'
  for (let failures = failuresBefore; ; failures++) {
    const attempt: Attempt = { phase, found: null, token: null }
    try {
      const admitted = await attemptOnce(search, attempt, signal)
      if (search.proof === 'v3') search.proof = 'v3-known'
      search.pinned = attempt.found?.gatewayId ?? null
      search.url = attempt.found?.url ?? ''
      search.clockAheadMs = admitted.clockAheadMs
      return admitted
    } catch (error) {
      if (!isSpawnerError(error)) throw error
      const token = attempt.token?.from ?? 'none'
      const source = attempt.found?.source ?? 'note'
      const holdfast = (attempt.found?.gatewayId ?? null) !== null
      const proof = holdfast ? 'holdfast/1' : search.proof
      const next = nextStep(error, { phase, token, source, proof })
      if (next.step === 'stop') throw error
      if (next.step === 'retry-v2') {
        search.proof = 'v2'
        continue
      }
      const pause = backoffMs(failures, surroundings.random())
      if (next.step === 'retry') {
        if (next.phase === 'key-alone' && token === 'file') search.refusedToken = attempt.token?.text ?? null
        if (token === 'join-code') search.joining = false
        phase = next.phase
        // A rotation is two steps: the file, and the gateway. The second try gives them time to meet.
        if (phase === 'token-once-more') await wait(pause, signal)
        continue
      }
      const pauseMs = Math.max(pause, next.atLeastMs)
      if (surroundings.clock() + pauseMs > startedMs + patience[next.for]) throw error
      await wait(pauseMs, signal)
    }
  }
}

interface Attempt {
  readonly phase: TokenPhase
  /** Filled in while the attempt runs: what it found and what it showed. */
  found: Whereabouts | null
  token: Whereabouts['token'] | { readonly from: 'join-code'; readonly text: string }
}

async function attemptOnce(
  search: Search,
  attempt: Attempt,
  signal: AbortSignal | undefined,
): Promise<Admitted> {
  const { plan, identity } = search
  signal?.throwIfAborted()
  const { pinned } = search
  attempt.found = await findGateway(pinned === null ? plan : { ...plan, gatewayId: pinned }, search.location)
  const { url, source, token, gatewayId } = attempt.found
  const dead = token?.from === 'file' && token.text === search.refusedToken
  attempt.token = attempt.phase === 'key-alone' || dead ? null : token
  if (search.joining && plan.joinCode !== null) attempt.token = { from: 'join-code', text: plan.joinCode }
  const shown = attempt.token
  const admitted = await attemptHandshake({
    url,
    source,
    identity,
    credential:
      shown === null
        ? null
        : { kind: shown.from === 'join-code' ? 'join-code' : 'gateway-token', text: shown.text },
    proof:
      gatewayId === null
        ? { family: 'openclaw', version: search.proof === 'v2' ? 'v2' : 'v3' }
        : { family: 'holdfast/1', gatewayId, dialled: dialledBy(url) },
    client: plan.client,
    role: plan.role,
    scopes: plan.scopes,
    limitMs: plan.handshakeTimeoutMs,
    signal,
  })
  search.joining = false
  return admitted
}
