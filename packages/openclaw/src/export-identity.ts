import { createPrivateKey, createPublicKey, type JsonWebKey, randomBytes } from 'node:crypto'
import { closeSync, fsyncSync, linkSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type DeviceIdentity, formatPublicKey } from '@holdfast/identity'
import { readPrivateFile } from '@holdfast/identity/state'
import { OpenClawError } from './errors.ts'
import { errnoOf, readDeviceJson } from './internal/foreign-key.ts'
import { locateOpenClaw, usesDatabase } from './internal/openclaw-state.ts'
import { readSurroundings, type Surroundings } from './internal/surroundings.ts'

/** Which identity goes where. */
export interface ExportOptions {
  readonly identity: DeviceIdentity
  /** OpenClaw's state directory. @defaultValue `OPENCLAW_STATE_DIR`, else `.openclaw` in the user's home */
  readonly openclawDirectory?: string | undefined
}

/** The `device.json` that an OpenClaw of 2026.2 to 2026.8 now starts with. */
export interface ExportedIdentity {
  /** `written`: by this call. `present`: the same key was there before. */
  readonly outcome: 'written' | 'present'
  readonly path: string
}

/**
 * Give this install's key to an OpenClaw install of 2026.2 to 2026.8 that has none yet: its command line is then the same
 * device, from its first start on, however many are started at once. The file is created once, whole, and never over
 * another; from then on two programs hold the key. Do it before anything of that OpenClaw runs.
 *
 * @throws {@link OpenClawError} `OPENCLAW_USES_DATABASE`: it is a 2026.9 or later; nothing was written.
 * @throws {@link OpenClawError} `OPENCLAW_IDENTITY_DIFFERS`: it has a key of its own; nothing was written.
 * @throws {@link OpenClawError} `IDENTITY_IN_MEMORY`, `OPENCLAW_NOT_WRITABLE`, and what is wrong with a file that is there.
 */
export async function exportToOpenClaw(options: ExportOptions): Promise<ExportedIdentity> {
  const { identity } = options
  const surroundings = readSurroundings()
  const state = locateOpenClaw(options.openclawDirectory, surroundings)
  if (usesDatabase(state)) throw inDatabase(state.database)
  const text = deviceJson(await secretOf(identity), identity)
  if (present(state.keyFile, identity, surroundings)) return { outcome: 'present', path: state.keyFile }
  const written = createOnce(state.keyFile, text)
  if (written && usesDatabase(state)) {
    // A newer OpenClaw has started in this moment. Either it took the file in, or the file must not stay.
    rmSync(state.keyFile, { force: true })
    throw inDatabase(state.database)
  }
  if (!written) present(state.keyFile, identity, surroundings)
  return { outcome: written ? 'written' : 'present', path: state.keyFile }
}

/** Whether the file is there, with this key. @throws {@link OpenClawError} `OPENCLAW_IDENTITY_DIFFERS`, where it is another's. */
function present(path: string, identity: DeviceIdentity, surroundings: Surroundings): boolean {
  const key = readDeviceJson(path, surroundings)
  if (key === null) return false
  if (key.deviceId === identity.id) return true
  const fix = 'Import the identity that OpenClaw has, with importOpenClawIdentity.'
  throw new OpenClawError('OPENCLAW_IDENTITY_DIFFERS', {
    path,
    expected: identity.id,
    found: key.deviceId,
    fix,
  })
}

/** The key file of the install itself: an identity does not hand its key out. */
async function secretOf(identity: DeviceIdentity): Promise<string> {
  const bytes =
    identity.location === null ? null : await readPrivateFile(identity.location, 'device/key.json')
  if (bytes === null) {
    const fix = 'Export an identity that openIdentity has opened.'
    throw new OpenClawError('IDENTITY_IN_MEMORY', { deviceId: identity.id, fix })
  }
  const { secretKey } = JSON.parse(
    Buffer.from(bytes)
      .toString('utf8')
      .replace(/^\uFEFF/, ''),
  )
  bytes.fill(0)
  return secretKey
}

function deviceJson(secretKey: string, identity: DeviceIdentity): string {
  const jwk: JsonWebKey = { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(identity.publicKey), d: secretKey }
  const key = createPrivateKey({ key: jwk, format: 'jwk' })
  const fields = {
    version: 1,
    deviceId: identity.id,
    publicKeyPem: createPublicKey(key).export({ format: 'pem', type: 'spki' }),
    privateKeyPem: key.export({ format: 'pem', type: 'pkcs8' }),
    createdAtMs: identity.createdAtMs,
  }
  return `${JSON.stringify(fields, null, 2)}\n`
}

/** Written beside, then linked: a link fails where the name is taken, and nobody ever reads half a key. */
function createOnce(path: string, text: string): boolean {
  const folder = dirname(path)
  const own = join(folder, `.device.${randomBytes(8).toString('hex')}`)
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const descriptor = openSync(own, 'wx', 0o600)
    try {
      writeSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    linkSync(own, path)
    return true
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST') return false
    const fix = `Give this user access to it: ${folder}`
    throw new OpenClawError('OPENCLAW_NOT_WRITABLE', { path, errno, fix }, { cause: error })
  } finally {
    rmSync(own, { force: true })
  }
}

function inDatabase(path: string): OpenClawError {
  const fix = 'Import its identity instead: a key file beside it would keep its gateway from starting.'
  return new OpenClawError('OPENCLAW_USES_DATABASE', { path, fix })
}
