import { rootOf } from '@holdfast/handshake'
import { type ConnectOptions, type ConnectPlan, completeOptions } from '../connect-options.ts'
import { isSpawnerError } from '../errors.ts'
import { type GatewayConnection, openConnection } from '../gateway-connection.ts'
import { backoffMs, nextStep, type Patience, patienceToComeBack, patienceToConnect } from '../reconnection.ts'
import { rememberSource } from './delegation-source.ts'
import type { HandedDown } from './handed-down.ts'
import { type Admitted, attemptHandshake } from './handshake-attempt.ts'
import { surroundings } from './surroundings.ts'
import { wait } from './wait.ts'
import { dialledBy } from './whereabouts.ts'

/** How a refused attempt is judged: nothing but the delegation was shown, to a gateway that is pinned. */
const SHOWN = { phase: 'key-alone', token: 'none', source: 'option', proof: 'holdfast/1' } as const

/** How a refusal of a right is judged that was renewed meanwhile. */
const RENEWED = { atLeastMs: 0, for: 'absent' } as const

/** A connection by what the parent handed down: neither the install's key nor its state directory is looked at. */
export async function connectDelegated(
  options: ConnectOptions,
  right: HandedDown,
): Promise<GatewayConnection> {
  const { identity, gatewayId, role, scopes } = right
  const plan = completeOptions(
    {
      ...options,
      identity,
      url: right.current.url,
      gatewayId,
      protocol: 'holdfast/1',
      role: options.role ?? role,
      scopes: options.scopes ?? scopes,
      token: undefined,
      joinCode: undefined,
    },
    surroundings.platform,
    surroundings.version,
  )
  let clockAheadMs = 0
  const reach = async (
    patience: Patience,
    failures: number,
    signal: AbortSignal | undefined,
  ): Promise<Admitted> => {
    const admitted = await reachGateway({ plan, right, patience, failures, signal })
    clockAheadMs = admitted.clockAheadMs
    return admitted
  }
  const admitted = await reach(patienceToConnect(plan), 0, options.signal)
  const connection = openConnection(admitted, {
    plan,
    deviceId: rootOf(right.current.chain) ?? identity.id,
    comeBack: (failures, ending) => reach(patienceToComeBack(plan), failures, ending),
  })
  rememberSource(connection, () => ({
    issuer: identity,
    chain: right.current.chain,
    url: right.current.url,
    gatewayId,
    role: plan.role,
    nowMs: surroundings.nowMs() + clockAheadMs,
    app: right.app,
  }))
  renewOver(connection, right)
  return connection
}

/** Each renewal goes over the connection as it is. Where the gateway does not take it, the next handshake shows it. */
function renewOver(connection: GatewayConnection, right: HandedDown): void {
  const stop = right.onRenewal(() => {
    connection.call('delegation.renew', { chain: right.current.chain }).catch(() => undefined)
  })
  void connection.closed.then(stop)
}

interface Search {
  readonly plan: ConnectPlan
  readonly right: HandedDown
  readonly patience: Patience
  readonly failures: number
  readonly signal: AbortSignal | undefined
}

async function reachGateway({ plan, right, patience, failures: before, signal }: Search): Promise<Admitted> {
  const startedMs = surroundings.clock()
  for (let failures = before; ; failures++) {
    signal?.throwIfAborted()
    const { chain, url } = right.current
    try {
      return await attemptHandshake({
        url,
        source: 'option',
        identity: right.identity,
        credential: { kind: 'delegation', chain },
        proof: { family: 'holdfast/1', gatewayId: right.gatewayId, dialled: dialledBy(url) },
        client: plan.client,
        role: plan.role,
        scopes: plan.scopes,
        limitMs: plan.handshakeTimeoutMs,
        signal,
      })
    } catch (error) {
      if (!isSpawnerError(error)) throw error
      const next = nextStep(error, SHOWN)
      // What was refused was the delegation as it was: a newer one that came meanwhile is worth an attempt of its own.
      const renewed = right.current.chain !== chain
      if (next.step !== 'wait' && !renewed) throw error
      const { atLeastMs, for: what } = next.step === 'wait' ? next : RENEWED
      const pauseMs = Math.max(backoffMs(failures, surroundings.random()), atLeastMs)
      if (surroundings.clock() + pauseMs > startedMs + patience[what]) throw error
      await wait(pauseMs, signal)
    }
  }
}
