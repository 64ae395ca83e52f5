import { readFile } from 'node:fs/promises'
import process from 'node:process'
import { type GateEvent, type RunningGateway, startGateway } from '@holdfast/gateway'
import {
  BUILT_IN_ROLES,
  canonicalAddress,
  defineRoles,
  isHandshakeError,
  isLoopbackAddress,
  type RoleDeclarations,
} from '@holdfast/handshake'
import { DEFAULT_CEILING } from '../command-list.ts'
import { CommandError } from '../errors.ts'
import { deviceLabel, jsonLine, moment, plain } from '../render.ts'
import { type CommonOptions, placeOptions, refuseForeignOwner, type Wiring } from '../wiring.ts'

export interface GatewayOptions extends CommonOptions {
  readonly port: number
  readonly host: string
  readonly roles?: string
  readonly ceiling?: readonly string[]
  readonly local: boolean
  readonly localPeers?: readonly string[]
  readonly trustedProxies?: readonly string[]
  readonly allowedHosts?: readonly string[]
  readonly allowedOrigins?: readonly string[]
  readonly publicAddresses?: readonly string[]
  readonly allowOpenclawProof?: boolean
}

/** Runs until SIGTERM or SIGINT. Resolves to the exit code. */
export async function gateway(wiring: Wiring, _argument: string, options: GatewayOptions): Promise<number> {
  refuseForeignOwner(wiring)
  const asked = new Promise<void>(resolve => {
    process.once('SIGTERM', resolve)
    process.once('SIGINT', resolve)
  })
  const roles = options.roles === undefined ? BUILT_IN_ROLES : await readRoles(options.roles)
  const ceiling = options.local ? (options.ceiling ?? defaultCeiling(roles)) : null
  const running = await start(wiring, options, roles, ceiling)
  running.onEvent(event => {
    for (const line of wiring.json ? [jsonLine(jsonOf(event))] : linesOf(event, wiring)) wiring.say(line)
  })
  announce(wiring, running, options.host, ceiling)
  await asked
  await running.close()
  return 0
}

async function start(
  wiring: Wiring,
  options: GatewayOptions,
  roles: RoleDeclarations,
  ceiling: readonly string[] | null,
): Promise<RunningGateway> {
  const { localPeers, trustedProxies, allowedHosts, allowedOrigins } = options
  try {
    return await startGateway({
      app: wiring.location.app,
      directory: wiring.location.directory,
      store: wiring.storePath,
      host: options.host,
      port: options.port,
      roles,
      trustedLocal: ceiling !== null && { ceiling },
      ...(localPeers && { localPeers }),
      ...(trustedProxies && { trustedProxies }),
      ...(allowedHosts && { allowedHosts }),
      ...(allowedOrigins && { allowedOrigins }),
      publicAddresses: options.publicAddresses ?? [],
      allowOpenClawProof: options.allowOpenclawProof ?? false,
    })
  } catch (error) {
    // A scope of the ceiling that no role has, or an address that is none: the words on the command line are wrong.
    if (error instanceof TypeError)
      throw new CommandError('USAGE', { reason: error.message }, { cause: error })
    throw error
  }
}

/** Of the scopes that are given by default, those that the operator's own roles have. */
function defaultCeiling(roles: RoleDeclarations): readonly string[] {
  const known = new Set(Object.values(roles).flatMap(scopes => Object.keys(scopes)))
  return DEFAULT_CEILING.filter(scope => known.has(scope))
}

function announce(
  wiring: Wiring,
  running: RunningGateway,
  host: string,
  ceiling: readonly string[] | null,
): void {
  const { url, gatewayId } = running
  const stateDir = wiring.location.directory
  if (wiring.json) {
    wiring.say(jsonLine({ url, gatewayId, stateDir }))
    return
  }
  wiring.say(`Listening on ${url} as gateway ${gatewayId}`)
  if (host !== 'localhost' && !isLoopbackAddress(canonicalAddress(host) ?? '')) {
    wiring.say(
      `It listens on ${host}, for other machines as well, and does not encrypt: put TLS in front of it.`,
    )
  }
  wiring.say(`State and gateway token: ${stateDir}`)
  wiring.say(
    ceiling === null
      ? 'Every device needs a person: holdfast approve REQUEST'
      : `Devices of this machine may have without a person: ${ceiling.join(' ') || 'nothing'}`,
  )
}

async function readRoles(path: string): Promise<RoleDeclarations> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new CommandError('USAGE', { reason: `--roles: ${plain(path)} cannot be read` }, { cause })
  })
  try {
    const roles = JSON.parse(text) as RoleDeclarations
    defineRoles(roles)
    return roles
  } catch (error) {
    if (isHandshakeError(error)) throw error
    throw new CommandError('USAGE', { reason: `--roles: ${plain(path)} holds no JSON` }, { cause: error })
  }
}

/** An event as one line of JSON. An error is told by its code alone: its message may quote what is none of the log's business. */
function jsonOf(event: GateEvent): unknown {
  return event.event === 'fault' ? { ...event, error: codeOf(event.error) } : event
}

function linesOf(event: GateEvent, wiring: Wiring): string[] {
  const at = moment(wiring.nowMs())
  switch (event.event) {
    case 'admitted': {
      const who = event.deviceId === null ? 'a peer without a device' : deviceLabel(event.deviceId, null)
      const scopes = event.scopes.join(' ') || 'no scope'
      return [
        `${at} admitted ${who} by rule ${event.rule}: ${event.role}, ${scopes}${event.registered ? ' (registered)' : ''}`,
      ]
    }
    case 'refused':
      return [
        `${at} refused ${event.deviceId?.slice(0, 12) ?? event.source} by rule ${event.rule}: ${event.refusal}`,
      ]
    case 'request': {
      const { request } = event
      return [
        `${at} ${deviceLabel(request.deviceId, request.name)} asks for ${request.missing.join(' ') || request.role}`,
        `  holdfast approve ${request.requestId} ${placeOptions(wiring)}`,
      ]
    }
    case 'request-closed':
      return [`${at} request ${event.requestId} ${event.outcome}`]
    case 'delegation-renewed':
      return []
    case 'delegation-expiring':
      return [
        `${at} child ${event.holderId.slice(0, 12)} of ${event.deviceId?.slice(0, 12)} ends at ${moment(event.expiresAtMs)}, unless renewed`,
      ]
    case 'closed':
      return event.cut === null ? [] : [`${at} cut ${event.deviceId?.slice(0, 12) ?? 'a peer'}: ${event.cut}`]
    case 'fault':
      return [`${at} fault in ${event.part}: ${codeOf(event.error)}`]
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Error) return 'code' in error ? String(error.code) : error.name
  return 'unknown'
}
