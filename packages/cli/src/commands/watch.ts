import process from 'node:process'
import { createInterface } from 'node:readline'
import type { DecisionEntry } from '@holdfast/gateway'
import type { PairingStore, RequestRecord } from '@holdfast/pairing-store'
import { report } from '../advice.ts'
import { followDecisions } from '../decision-log.ts'
import { deviceLabel, moment } from '../render.ts'
import { type CommonOptions, type Wiring, withStore } from '../wiring.ts'
import { approve, reject } from './requests.ts'

const LOOK_MS = 200

/**
 * A live view of connections, refusals and requests, until SIGTERM, SIGINT or the end of its time. Lines on standard input
 * answer requests: `approve REQUEST` or `reject REQUEST`, with a whole id or the number that this view gave it, which stays
 * bound to what was shown. Resolves to the exit code.
 */
export async function watch(wiring: Wiring, _argument: string, _options: CommonOptions): Promise<number> {
  let ended = false
  const end = () => {
    ended = true
  }
  process.once('SIGTERM', end)
  process.once('SIGINT', end)
  const shown = new Map<string, RequestRecord>()
  const next = await followDecisions(wiring)
  await withStore(wiring, async store => showOpen(wiring, store, shown))
  const lines = createInterface({ input: process.stdin })
  let answering = Promise.resolve()
  lines.on('line', line => {
    answering = answering.then(() => answer(wiring, line, shown))
  })
  while (!ended) {
    for (const entry of await next()) show(wiring, entry, shown)
    await new Promise(resolve => setTimeout(resolve, LOOK_MS))
  }
  lines.close()
  process.stdin.destroy()
  await answering
  return 0
}

async function showOpen(
  wiring: Wiring,
  store: PairingStore,
  shown: Map<string, RequestRecord>,
): Promise<void> {
  for (const request of (await store.listRequests()).items) showRequest(wiring, request, shown)
  if (!wiring.json) wiring.say('Watching. To answer: approve NUMBER, or reject NUMBER. Ctrl-C ends it.')
}

function show(wiring: Wiring, entry: DecisionEntry, shown: Map<string, RequestRecord>): void {
  const { event, atMs } = entry
  if (event.event === 'request') showRequest(wiring, event.request, shown)
  else if (wiring.json) wiring.say(JSON.stringify(entry))
  else for (const line of linesOf(event)) wiring.say(`${moment(atMs)} ${line}`)
}

function showRequest(wiring: Wiring, request: RequestRecord, shown: Map<string, RequestRecord>): void {
  const number = String(shown.size + 1)
  shown.set(number, request)
  const { requestId, deviceId, name, role, missing, source } = request
  if (wiring.json) wiring.say(JSON.stringify({ event: { event: 'request', request }, number }))
  else
    wiring.say(
      `[${number}] ${deviceLabel(deviceId, name)} from ${source} asks as ${role} for ${missing.join(' ') || 'the role'}: ${requestId}`,
    )
}

function linesOf(event: DecisionEntry['event']): string[] {
  switch (event.event) {
    case 'admitted':
      return [
        `admitted ${event.deviceId?.slice(0, 12) ?? 'a peer without a device'} by rule ${event.rule}: ${event.role}, ${event.scopes.join(' ') || 'no scope'}  ${event.connectionId}`,
      ]
    case 'refused':
      return [
        `refused ${event.deviceId?.slice(0, 12) ?? event.source} by rule ${event.rule}: ${event.refusal}  ${event.connectionId ?? ''}`,
      ]
    case 'request-closed':
      return [`request ${event.requestId} ${event.outcome}`]
    case 'delegation-expiring':
      return [`child ${event.holderId.slice(0, 12)} ends at ${moment(event.expiresAtMs)}, unless renewed`]
    case 'closed':
      return [
        `closed ${event.connectionId} with ${event.closeCode}${event.cut === null ? '' : `: ${event.cut}`}`,
      ]
    case 'delegation-renewed':
    case 'request':
      return []
  }
}

/** A number stands for the request as it was shown: its digest goes with it, so nothing else can be approved by it. */
async function answer(
  wiring: Wiring,
  line: string,
  shown: ReadonlyMap<string, RequestRecord>,
): Promise<void> {
  const [verb = '', word = ''] = line.trim().split(/\s+/)
  if (verb === '') return
  const request = shown.get(word) ?? [...shown.values()].find(({ requestId }) => requestId === word)
  if ((verb !== 'approve' && verb !== 'reject') || request === undefined) {
    wiring.remark('approve NUMBER, or reject NUMBER, of a request that was shown.')
    return
  }
  try {
    const { requestId, digest } = request
    const result =
      verb === 'approve' ? await approve(wiring, requestId, { digest }) : await reject(wiring, requestId)
    if (wiring.json) wiring.say(JSON.stringify(result.json))
    else result.lines.forEach(wiring.say)
  } catch (error) {
    report(error).lines.forEach(wiring.remark)
  }
}
