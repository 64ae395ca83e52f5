import { mkdtemp, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type DeviceIdentity, openIdentity } from '@holdfast/identity'
import { readGatewayNote, readPrivateFile } from '@holdfast/identity/state'
import { runChildren } from '../demo/children.ts'
import { type GatewayProcess, startGatewayProcess } from '../demo/gateway-process.ts'
import { type Tally, tally } from '../demo/tally.ts'
import { CommandError } from '../errors.ts'
import { facts, moment, plain } from '../render.ts'
import { type CommonOptions, refuseForeignOwner, type Wiring, wire, withStore } from '../wiring.ts'
import { DEMO_SCOPES, type DemoReport } from './demo-child.ts'

export const DEMO_APP = 'holdfast-demo'

export interface DemoOptions extends CommonOptions {
  readonly children: number
  readonly fresh?: boolean
}

/** The main job, end to end, with real processes. Resolves to the exit code. */
export async function demo(asked: Wiring, _argument: string, options: DemoOptions): Promise<number> {
  const temporary = options.fresh ? await mkdtemp(join(await realpath(tmpdir()), 'holdfast-demo-')) : null
  const app = options.app ?? DEMO_APP
  const wiring = wire({ ...options, app, ...(temporary !== null && { stateDir: join(temporary, 'state') }) })
  try {
    refuseForeignOwner(wiring)
    return await runDemo(wiring, options, asked.interactive)
  } finally {
    if (temporary !== null) await rm(temporary, { recursive: true, force: true })
  }
}

async function runDemo(wiring: Wiring, options: DemoOptions, interactive: boolean): Promise<number> {
  const { location } = wiring
  const words = ['--app', location.app, '--state-dir', location.directory, '--store', wiring.storePath]
  const gateway = await startGatewayProcess([...words, '--ceiling', 'operator.admin'])
  try {
    const note = await readGatewayNote(location)
    wiring.remark(
      gateway === null
        ? `A gateway runs here already: ${note?.url ?? 'it says nowhere where'}`
        : `The gateway listens on ${gateway.url}`,
    )
    const identity = await openIdentity({ app: location.app, directory: location.directory })
    wiring.remark(`Device ${identity.id} ${sinceWhen(identity)}`)
    await register(wiring, identity)
    const reports = await connectChildren(wiring, identity, options.children, interactive)
    const result = { ...tally(reports), expected: options.children * DEMO_SCOPES.length }
    if (gateway !== null) await eventsOf(gateway, result.admitted)
    const prompts = await withStore(
      wiring,
      async store => (await store.listRequests({ limit: 1_000 })).items.length,
    )
    return conclude(wiring, identity, gateway, result, prompts)
  } finally {
    await gateway?.stop()
  }
}

/** The host can open the store itself, so that its identity is born trusted: no request, no prompt. */
async function register(wiring: Wiring, identity: DeviceIdentity): Promise<void> {
  const token = await readPrivateFile(wiring.location, 'gateway-token/token')
  if (token === null) throw new CommandError('DEMO_FAILED', { reason: 'the gateway left no token' })
  const gatewayToken = Buffer.from(token).toString('utf8').trim()
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

async function connectChildren(
  wiring: Wiring,
  identity: DeviceIdentity,
  children: number,
  interactive: boolean,
): Promise<DemoReport[]> {
  const expected = children * DEMO_SCOPES.length
  const step = interactive ? 1 : Math.ceil(expected / 4)
  const reports: DemoReport[] = []
  wiring.remark(`Starting ${children} child processes, each of which connects ${DEMO_SCOPES.length} times`)
  await runChildren(identity, children, wiring.location.app, report => {
    reports.push(report)
    if (reports.length % step !== 0 && reports.length !== expected) return
    wiring.progress(`${reports.length} of ${expected} connections`)
  })
  wiring.progress(null)
  return reports
}

/** The gateway reports what it admitted a moment after the child knows of it. */
async function eventsOf(gateway: GatewayProcess, admitted: number): Promise<void> {
  const counted = (): number => [...gateway.admittedByRule.values()].reduce((sum, count) => sum + count, 0)
  for (let round = 0; round < 100 && counted() < admitted; round++) await wait(20)
}

function conclude(
  wiring: Wiring,
  identity: DeviceIdentity,
  gateway: GatewayProcess | null,
  result: Tally & { readonly expected: number },
  prompts: number,
): number {
  const refused = result.expected - result.admitted
  const byRule = gateway === null ? null : Object.fromEntries(gateway.admittedByRule)
  if (wiring.json) {
    const { deviceIds, admitted, failures, p50Ms, p99Ms } = result
    wiring.say(
      JSON.stringify({
        deviceId: identity.id,
        created: identity.created,
        createdAtMs: identity.createdAtMs,
        stateDir: wiring.location.directory,
        devices: deviceIds.size,
        admitted,
        refused,
        prompts,
        byRule,
        failures: Object.fromEntries(failures),
        p50Ms,
        p99Ms,
      }),
    )
  } else {
    describe(wiring, identity, byRule, result).forEach(wiring.say)
    const devices = `${result.deviceIds.size} device${result.deviceIds.size === 1 ? '' : 's'}`
    wiring.say(
      `${devices} · ${result.admitted} connections admitted · ${refused} refused · ${prompts} prompts`,
    )
  }
  return result.deviceIds.size === 1 && refused === 0 && prompts === 0 ? 0 : 1
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
