import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { errnoOf } from './foreign-key.ts'
import type { OpenClawState } from './openclaw-state.ts'

/** A device in the books of an OpenClaw gateway. Every text in it is the gateway's, or the device's. */
export interface PairedRow {
  readonly deviceId: string
  readonly clientId: string | null
  readonly clientMode: string | null
  readonly displayName: string | null
  readonly platform: string | null
  /** Epoch ms. */
  readonly createdAtMs: number | null
  /** What it may have in the role of an operator. */
  readonly scopes: readonly string[]
  /** The device token of that role, where one is live. It is secret. */
  readonly token: string | null
}

/** A request in those books. */
export interface PendingRow {
  readonly requestId: string
  readonly deviceId: string
  readonly scopes: readonly string[]
  /** Would the gateway have answered it by itself? */
  readonly silent: boolean
}

/** What a state directory of OpenClaw says about devices, whatever its version. */
export interface OpenClawBooks {
  readonly paired: readonly PairedRow[]
  readonly pending: readonly PendingRow[]
  /** The device tokens that its own command line keeps, by device id. They are secret. */
  readonly kept: ReadonlyMap<string, string>
  /** Files that hold something else than a gateway writes there: the next approval overwrites them. */
  readonly damaged: readonly string[]
}

const OPERATOR = 'operator'
/** Some ten thousand devices. */
const MOST_BYTES = 64 * 1024 * 1024

/** The books of 2026.2 to 2026.8: three files. They are only read. */
export function readFileBooks({ directory }: OpenClawState): OpenClawBooks {
  const damaged: string[] = []
  const read = (...names: readonly string[]): Fields => {
    const path = join(directory, ...names)
    const value = readJson(path)
    if (value === 'damaged') damaged.push(path)
    return value === 'damaged' ? {} : value
  }
  const paired = read('devices', 'paired.json')
  const pending = read('devices', 'pending.json')
  const auth = read('identity', 'device-auth.json')
  const { token } = fieldsOf(fieldsOf(auth['tokens'])[OPERATOR])
  const owner = auth['deviceId']
  return {
    paired: Object.entries(paired).map(([deviceId, record]) => pairedRow(deviceId, fieldsOf(record))),
    pending: Object.entries(pending).flatMap(([requestId, record]) =>
      pendingRow(requestId, fieldsOf(record)),
    ),
    kept: new Map(typeof owner === 'string' && typeof token === 'string' ? [[owner, token]] : []),
    damaged,
  }
}

/** The same out of the tables of 2026.9, whose lists are JSON in columns. */
export function booksOfRows(rows: {
  readonly paired: readonly Fields[]
  readonly pending: readonly Fields[]
  readonly kept: readonly Fields[]
}): OpenClawBooks {
  return {
    paired: rows.paired.map(row =>
      pairedRow(String(row['device_id']), {
        clientId: row['client_id'],
        clientMode: row['client_mode'],
        displayName: row['display_name'],
        platform: row['platform'],
        createdAtMs: row['created_at_ms'],
        scopes: parsed(row['scopes_json']),
        approvedScopes: parsed(row['approved_scopes_json']) ?? undefined,
        tokens: parsed(row['tokens_json']),
      }),
    ),
    pending: rows.pending.flatMap(row =>
      pendingRow(String(row['request_id']), {
        deviceId: row['device_id'],
        scopes: parsed(row['scopes_json']),
        silent: row['silent'] === 1,
      }),
    ),
    kept: new Map(
      rows.kept.flatMap(({ device_id: id, role, token }) =>
        role === OPERATOR && typeof id === 'string' && typeof token === 'string'
          ? [[id, token] as const]
          : [],
      ),
    ),
    damaged: [],
  }
}

type Fields = Readonly<Record<string, unknown>>

function pairedRow(deviceId: string, record: Fields): PairedRow {
  const { token, revokedAtMs } = fieldsOf(fieldsOf(record['tokens'])[OPERATOR])
  return {
    deviceId,
    clientId: textOf(record['clientId']),
    clientMode: textOf(record['clientMode']),
    displayName: textOf(record['displayName']),
    platform: textOf(record['platform']),
    createdAtMs: typeof record['createdAtMs'] === 'number' ? record['createdAtMs'] : null,
    scopes: textsOf(record['approvedScopes'] ?? record['scopes']),
    token: typeof revokedAtMs === 'number' ? null : textOf(token),
  }
}

function pendingRow(requestId: string, record: Fields): PendingRow[] {
  const deviceId = textOf(record['deviceId'])
  if (deviceId === null) return []
  return [{ requestId, deviceId, scopes: textsOf(record['scopes']), silent: record['silent'] === true }]
}

/** The object in a file; an empty one where there is no file. */
function readJson(path: string): Fields | 'damaged' {
  if (!existsSync(path)) return {}
  try {
    if (statSync(path).size > MOST_BYTES) return 'damaged'
    const value: unknown = JSON.parse(readFileSync(path, 'utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Fields)
      : 'damaged'
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) !== 'UNKNOWN') return 'damaged'
    throw error
  }
}

function parsed(column: unknown): unknown {
  if (typeof column !== 'string') return null
  try {
    return JSON.parse(column)
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {}
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter(each => typeof each === 'string') : []
}
