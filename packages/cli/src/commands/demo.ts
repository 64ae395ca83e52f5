import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { readGatewayNote, readGatewayToken } from '@holdfast/identity/state'
import { runChildren } from '../demo/children.ts'
import { type GatewayProcess, startGatewayProcess } from '../demo/gateway-process.ts'
import { DEMO_SCOPES, type Tally, tally } from '../demo/reports.ts'
import { CommandError } from '../errors.ts'
import { facts, jsonLine, moment, plain } from '../render.ts'
import { type CommonOptions, refuseForeignOwner, type Wiring, wire, withStore } from '../wiring.ts'

const DEMO_APP = 'holdfast-demo'

export interface DemoOptions extends CommonOptions {
  readonly children: number
  readonly fresh?: boolean
  readonly ownKeys?: boolean
  readonly delegate?: boolean
}

/** The main job, end to end, with real processes. Resolves to the exit code. */
export async function demo(asked: Wiring, _argument: string, options: DemoOptions): Promise<number> {
  // The world without Holdfast needs a store that has never seen anybody.
  const fresh = options.fresh || options.ownKeys
  const temporary = fresh ? await mkdtemp(join(await realpath(tmpdir()), 'holdfast-demo-')) : null
  const app = options.app ?? DEMO_APP
  const wiring = await wire(asked.line, {
    ...options,
    app,
    ...(temporary !== null && { stateDir: join(temporary, 'state') }),
  })
  try {
    refuseForeignOwner(wiring)
    return await withGateway(
      wiring,
      options.ownKeys ? ['--no-local'] : ['--ceiling', 'operator.admin'],
      gateway =>
        options.ownKeys ? withoutHoldfast(wiring, options) : withHoldfast(wiring, options, gateway),
    )
  } finally {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true })
  }
}

async function withGateway(
  wiring: Wiring,
  policy: readonly string[],
  use: (gateway: GatewayProcess | null) => Promise<number>,
): Promise<number> {
  const { location, storePath } = wiring
  const place = ['--app', location.app, '--state-dir', location.directory, '--store', storePath]
  const gateway = await startGatewayProcess([...place, ...policy])
  try {
    const url = gateway?.url ?? (await readGatewayNote(location))?.url
    wiring.remark(
      gateway === null ? `A gateway runs here already, on ${url}` : `The gateway listens on ${url}`,
    )
    return await use(gateway)
  } finally {
    await gateway?.stop()
  }
}

/** One identity, registered once: whatever its children ask for within the ceiling, in any order, is admitted. */
async function withHoldfast(
  wiring: Wiring,
  options: DemoOptions,
  gateway: GatewayProcess | null,
): Promise<number> {
  const { app, directory } = wiring.location
  const identity = await openIdentity({ app, directory })
  wiring.remark(`Device ${identity.id}, ${sinceWhen(identity)}`)
  await register(wiring, identity)
  const { delegate: delegates = false } = options
  const connectionsEach = delegates ? 1 : DEMO_SCOPES.length
  if (delegates)
    wiring.remark('Each child is given a key and a right of its own, each with another set of scopes.')
  const reports = await runChildren(wiring, {
    identity,
    count: options.children,
    connectionsEach,
    ownKeys: false,
    delegates,
  })
  const result = tally(reports)
  if (gateway !== null) await eventsOf(gateway, result.admitted)
  const byRule = gateway === null ? null : Object.fromEntries(gateway.admittedByRule)
  const prompts = await withStore(
    wiring,
    async store => (await store.listRequests({ limit: 1_000 })).items.length,
  )
  const refused = options.children * connectionsEach - result.admitted
  const devices = result.deviceIds.size
  if (wiring.json) {
    const { id: deviceId, created, createdAtMs } = identity
    const { admitted, p50Ms, p99Ms } = result
    const failures = Object.fromEntries(result.failures)
    const counts = { devices, admitted, refused, prompts, byRule, failures, p50Ms, p99Ms }
    wiring.say(jsonLine({ deviceId, created, createdAtMs, stateDir: directory, ...counts }))
  } else {
    for (const line of describe(wiring, identity, byRule, result)) wiring.say(line)
    const noun = devices === 1 ? 'device' : 'devices'
    wiring.say(
      `${devices} ${noun} · ${result.admitted} connections admitted · ${refused} refused · ${prompts} prompts`,
    )
  }
  return devices === 1 && refused === 0 && prompts === 0 ? 0 : 1
}

/** What users report: each child makes a key of its own, and is closed with `pairing required` for all its valid token. */
async function withoutHoldfast(wiring: Wiring, options: DemoOptions): Promise<number> {
  const { app, directory } = wiring.location
  const identity = await openIdentity({ app, directory })
  const reports = await runChildren(wiring, {
    identity,
    count: options.children,
    connectionsEach: 1,
    ownKeys: true,
  })
  const { deviceIds, admitted, failures } = tally(reports)
  const pairingRequired = failures.get('pairing-required') ?? 0
  if (wiring.json) {
    wiring.say(jsonLine({ deviceIds: deviceIds.size, admitted, pairingRequired }))
  } else {
    wiring.say('Each child made a key of its own, and showed the valid gateway token from this machine.')
    wiring.say(`${deviceIds.size} device ids · ${admitted} admitted · ${pairingRequired} pairing-required`)
  }
  return pairingRequired === options.children && deviceIds.size === options.children ? 0 : 1
}

/** The host can open the store itself, so that its identity is born trusted: no request, no prompt. */
async function register(wiring: Wiring, identity: DeviceIdentity): Promise<void> {
  const gatewayToken = await readGatewayToken(wiring.location)
  if (gatewayToken === null) throw new CommandError('DEMO_FAILED', { reason: 'the gateway left no token' })
  const answer = await withStore(wiring, store =>
    store.registerLocal({ identity, gatewayToken, role: 'operator', name: 'holdfast demo' }),
  )
  if (answer.outcome === 'refused') {
    throw new CommandError('DEMO_FAILED', {
      reason: `the store would not register the identity: ${answer.reason}`,
    })
  }
  wiring.remark(answer.outcome === 'known' ? 'The gateway knows it.' : 'Registered it with the gateway.')
}

/** The gateway reports what it admitted a moment after the child knows of it. */
async function eventsOf(gateway: GatewayProcess, admitted: number): Promise<void> {
  const counted = (): number => [...gateway.admittedByRule.values()].reduce((sum, count) => sum + count, 0)
  for (let round = 0; round < 100 && counted() < admitted; round++) await wait(20)
}

function describe(
  wiring: Wiring,
  identity: DeviceIdentity,
  byRule: Readonly<Record<string, number>> | null,
  result: Tally,
): string[] {
  const rules = byRule && Object.entries(byRule).map(([rule, count]) => `${count} by rule ${rule}`)
  const ms = (value: number | null): string => (value === null ? '-' : `${value.toFixed(1)} ms`)
  return [
    '',
    ...facts([
      ['device id', identity.id],
      ['identity', sinceWhen(identity)],
      ['kept in', wiring.location.directory],
      ['connections', rules?.join(', ') || `${result.admitted} (the rules are in the other gateway's log)`],
      ['p50', ms(result.p50Ms)],
      ['p99', ms(result.p99Ms)],
      ...[...result.failures].map(
        ([reason, count]) => ['failed', `${count} × ${plain(reason, 200)}`] as const,
      ),
    ]),
    '',
  ]
}

function sinceWhen(identity: DeviceIdentity): string {
  return identity.created ? 'created now' : `reused since ${moment(identity.createdAtMs)}`
}
