import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { type DeviceIdentity, identityOver } from './device-identity.ts'
import { IdentityError } from './errors.ts'
import { createKey, keyFrom, SECRET_MODE } from './internal/create-key.ts'
import { tryLock } from './internal/creation-lock.ts'
import { writeDurably } from './internal/durable-files.ts'
import { errnoOf } from './internal/errno.ts'
import { formatSecret, type SecretFormat } from './internal/export-formats.ts'
import { importSeed } from './internal/import-seed.ts'
import { parseKeyFile, seedFrom } from './internal/key-file.ts'
import { readSource } from './internal/key-source.ts'
import { readOwned } from './internal/private-file.ts'
import { publishDirectory } from './internal/publish-once.ts'
import { quoted } from './internal/shell-words.ts'
import { chooseLocation } from './internal/state-location.ts'
import { runAsync } from './internal/steps.ts'
import { readClock, readSurroundings } from './internal/surroundings.ts'
import { protectFile } from './internal/windows-access.ts'
import { checkLockTimeout, type IdentityOptions } from './open-identity.ts'
import { publicKeyFromBytes } from './public-key.ts'

/** An Ed25519 private key in one of the forms in which keys travel. */
export type KeySource =
  /** PKCS#8 text (RFC 8410 §7), unencrypted. */
  | { readonly pem: string }
  /** The same in DER: bytes, or hex text. */
  | { readonly pkcs8: Uint8Array | string }
  /** A private OKP key (RFC 8037 §2); its `x`, where given, must be the public key of its `d`. */
  | { readonly jwk: Readonly<Record<string, unknown>> }
  /** The 32-byte secret of RFC 8032 §5.1.5: bytes, 43 characters of unpadded base64url, or 64 hex digits. */
  | { readonly seed: Uint8Array | string }
  /** The text of the `device.json` that OpenClaw 2026.2 to 2026.8 keeps. */
  | { readonly deviceJson: string }

/** Where an export goes, and in which form. */
export interface ExportOptions {
  /** A file that is not there yet. */
  readonly path: string
  /**
   * `pem` and `der`: PKCS#8 (RFC 8410 §7); `jwk`: RFC 8037 §2; `seed`: the 32-byte secret as unpadded base64url.
   * @defaultValue `pem`
   */
  readonly format?: SecretFormat | undefined
}

/**
 * An identity out of a key that you keep elsewhere. It lives in memory and never touches a disk; `createdAtMs` is now.
 *
 * @throws {@link IdentityError} `KEY_SOURCE_UNSUPPORTED`: not an Ed25519 private key in one of these forms. The error
 * says which other kind was found and quotes nothing of the key.
 */
export function identityFrom(source: KeySource): DeviceIdentity {
  return inMemory(readSource(source).seed, false)
}

/** A new identity that lives in memory and is gone with it. */
export function createEphemeralIdentity(): DeviceIdentity {
  return inMemory(randomBytes(32), true)
}

/**
 * Make this install the device that holds this key, by publishing it where {@link openIdentity} would publish one of its
 * own: once, whole, and never over another. Where the key is there already, this only opens it (`created` is false).
 *
 * @throws {@link IdentityError} `KEY_SOURCE_UNSUPPORTED`: not an Ed25519 private key in one of these forms.
 * @throws {@link IdentityError} `IDENTITY_EXISTS`: this install is another device already; it stays that device.
 * @throws {@link IdentityError} `IDENTITY_HANDED_DOWN`: a parent handed the place down for another device.
 * @throws {@link IdentityError} what {@link openIdentity} throws.
 */
export async function importIdentity(source: KeySource, options: IdentityOptions): Promise<DeviceIdentity> {
  options.signal?.throwIfAborted()
  const { seed, createdAtMs } = readSource(source)
  try {
    const surroundings = readSurroundings()
    const location = chooseLocation(options, surroundings)
    const name = options.name ?? 'device'
    const place = { directory: location.directory, name, owner: surroundings }
    const offered = keyFrom(seed, createdAtMs ?? readClock())
    const path = name === 'device' ? location.deviceKey : location.gatewayKey
    const expected = name === 'device' ? location.expectedDeviceId : null
    if (expected !== null && expected !== offered.deviceId) {
      const fix = 'Import it where the parent runs, or start without what the parent handed down.'
      throw new IdentityError('IDENTITY_HANDED_DOWN', { path, expected, fix })
    }
    const tools = { publish: publishDirectory, tryLock, make: offered.make }
    const { key, created } = await runAsync(
      createKey(place, checkLockTimeout(options), tools),
      options.signal,
    )
    if (key.deviceId !== offered.deviceId) {
      const fix = `To become the other device: holdfast id reset --state-dir ${quoted(location.directory)}`
      const facts = { path, found: key.deviceId, offered: offered.deviceId, fix }
      throw new IdentityError('IDENTITY_EXISTS', facts)
    }
    return identityOver(key.signer, { ...key, created, location })
  } finally {
    seed.fill(0)
  }
}

/**
 * Write the private key of an identity to a new file that nobody else can read. From then on there are two copies.
 *
 * @throws {@link IdentityError} `IDENTITY_IN_MEMORY`: it has no key file; an identity does not hand its key out.
 * @throws {@link IdentityError} `EXPORT_FAILED`: the file is there already, or cannot be written whole.
 * @throws {@link IdentityError} `KEY_FILE_EXPOSED`: the file system there keeps no file modes; nothing secret was written.
 * @throws {@link IdentityError} what {@link openIdentity} throws while reading.
 */
export async function exportIdentity(identity: DeviceIdentity, options: ExportOptions): Promise<void> {
  const owner = readSurroundings()
  const seed = seedOf(identity)
  const bytes = formatSecret(seed, identity.publicKey, options.format ?? 'pem')
  let made = false
  try {
    writeDurably(options.path, bytes, owner, () => {
      made = true
      protectFile(options.path, owner)
    })
  } catch (error) {
    if (made) rmSync(options.path, { force: true })
    const errno = errnoOf(error)
    if (errno === null || error instanceof IdentityError) throw error
    const fix = `Name a new file in a directory that you can write: ls -ld ${quoted(options.path)}`
    throw new IdentityError('EXPORT_FAILED', { path: options.path, errno, fix }, { cause: error })
  } finally {
    bytes.fill(0)
    seed.fill(0)
  }
}

function inMemory(seed: Uint8Array, created: boolean): DeviceIdentity {
  const signer = importSeed(seed)
  const publicKey = publicKeyFromBytes(signer.publicKey)
  if (publicKey === null) throw new TypeError('the public key of a seed is always a point')
  return identityOver(signer, { publicKey, createdAtMs: readClock(), created, location: null })
}

/** Out of the key file, which is checked as for opening: an identity does not hand its key out. */
function seedOf(identity: DeviceIdentity): Uint8Array {
  const { location, id } = identity
  for (const name of location === null ? [] : (['device', 'gateway'] as const)) {
    const directory = location?.directory ?? ''
    const bytes = readOwned(directory, name, 'key.json', SECRET_MODE, readSurroundings())
    if (bytes === null) continue
    const copy = Buffer.from(bytes)
    const { deviceId } = parseKeyFile(bytes, name)
    const seed =
      deviceId === id ? seedFrom(JSON.parse(copy.toString().replace(/^\uFEFF/, ''))['secretKey']) : null
    copy.fill(0)
    if (seed !== null) return seed
  }
  const fix = 'Export an identity that openIdentity has opened, while its key file is there.'
  throw new IdentityError('IDENTITY_IN_MEMORY', { deviceId: id, fix })
}
