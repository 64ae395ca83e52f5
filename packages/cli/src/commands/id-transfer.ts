import { closeSync, openSync, readSync } from 'node:fs'
import { resolve } from 'node:path'
import { exportIdentity, findIdentity, importIdentity, type KeySource } from '@holdfast/identity'
import { CommandError } from '../errors.ts'
import { facts, moment } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  placeOptions,
  refuseForeignOwner,
  type Wiring,
} from '../wiring.ts'
import { placeOf } from './id-reset.ts'

export interface ExportCommandOptions extends CommonOptions {
  readonly format: 'pem' | 'der' | 'jwk' | 'seed'
}

/** No private key is longer by far. */
const MOST_BYTES = 64 * 1024

/** Make a key from a file, or from standard input, the identity of this install. Never over another. */
export async function importKey(
  wiring: Wiring,
  path: string,
  options: CommonOptions,
): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const bytes = path === '-' ? await wiring.readInput() : readWhole(resolve(path))
  try {
    const identity = await importIdentity(keySourceIn(bytes), placeOf(wiring, options))
    return {
      json: { deviceId: identity.id, imported: identity.created, path: wiring.location.deviceKey },
      lines: facts([
        ['device id', identity.id],
        ['imported', identity.created ? 'now' : `was there already, since ${moment(identity.createdAtMs)}`],
        ['kept in', wiring.location.deviceKey],
      ]),
    }
  } finally {
    bytes.fill(0)
  }
}

/** Write the private key of this install to a new file. */
export async function exportKey(
  wiring: Wiring,
  path: string,
  options: ExportCommandOptions,
): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  const identity = await findIdentity(placeOf(wiring, options))
  if (identity === null) {
    const fix = `The first start makes it: holdfast id ${placeOptions(wiring)}`
    throw new CommandError('IDENTITY_ABSENT', { path: wiring.location.deviceKey, fix })
  }
  const file = resolve(path)
  await exportIdentity(identity, { path: file, format: options.format })
  return {
    json: { deviceId: identity.id, exported: file, format: options.format },
    lines: [
      ...facts([
        ['device id', identity.id],
        ['exported to', file],
      ]),
      'Whoever has this file is this device. Delete it when it has served.',
    ],
  }
}

/** The form in which a key came, told by how it looks. The library says what is wrong with one that is none. */
export function keySourceIn(bytes: Uint8Array): KeySource {
  if (bytes.length === 32) return { seed: bytes }
  const text = Buffer.from(bytes).toString('latin1').trim()
  if (text.startsWith('-----BEGIN')) return { pem: text }
  if (text.startsWith('{') || text.startsWith('\u00ef\u00bb\u00bf{')) {
    const json = Buffer.from(bytes).toString('utf8').trim()
    return json.includes('"privateKeyPem"') ? { deviceJson: json } : { jwk: parseObject(json) }
  }
  if (/^[0-9a-f]+$/i.test(text) && text.length > 64) return { pkcs8: text }
  return text.length === 43 || text.length === 64 ? { seed: text } : { pkcs8: bytes }
}

/** No error of the parser is passed on: it quotes what it could not read. */
function parseObject(text: string): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(text.replace(/^\uFEFF/, ''))
  } catch {
    return {}
  }
}

function readWhole(path: string): Buffer {
  try {
    const descriptor = openSync(path, 'r')
    try {
      const bytes = Buffer.alloc(MOST_BYTES)
      return bytes.subarray(0, readSync(descriptor, bytes))
    } finally {
      closeSync(descriptor)
    }
  } catch (error) {
    const errno = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    throw new CommandError('USAGE', { reason: `${path} cannot be read (${errno})` }, { cause: error })
  }
}
