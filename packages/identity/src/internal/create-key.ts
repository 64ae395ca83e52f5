import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { DeviceId } from '../device-id.ts'
import { IdentityError } from '../errors.ts'
import { deviceIdOf, type PublicKey, publicKeyFromBytes } from '../public-key.ts'
import { verifySignature } from '../signature.ts'
import { type tryLock, waitForLock } from './creation-lock.ts'
import { prepareStateDirectory, syncDirectory } from './durable-files.ts'
import { importSeed } from './import-seed.ts'
import { formatKeyFile, parseKeyFile, type StoredKey } from './key-file.ts'
import { type Owner, readOwned } from './private-file.ts'
import { clearLeftovers, MOST_ATTEMPTS, occupiedBy, type PublishedPlace } from './publish-once.ts'
import type { Steps } from './steps.ts'
import { readClock } from './surroundings.ts'

/** Where a key belongs: `<directory>/<name>/key.json`. */
export interface KeyPlace {
  readonly directory: string
  readonly name: 'device' | 'gateway'
  readonly owner: Owner
}

/** What creating leans on. Only `publish` has to be right; the lock spares work. */
export interface CreationTools {
  readonly publish: (place: PublishedPlace, bytes: Uint8Array) => Steps<boolean>
  readonly tryLock: typeof tryLock
  /** The key to publish; asked anew at each attempt, since the bytes are zeroed. @defaultValue a new one */
  readonly make?: () => MadeKey
}

/** A key that is to be published. The bytes hold the seed: zero them. */
export interface MadeKey {
  readonly bytes: Buffer
  readonly deviceId: DeviceId
}

/** Files of ours that hold a secret may be neither read nor written by anybody else. */
export const SECRET_MODE = 0o077

/** The key that lies at this place, or `null` where there is none. */
export function readKey(place: KeyPlace): StoredKey | null {
  const bytes = readOwned(place.directory, place.name, 'key.json', SECRET_MODE, place.owner)
  return bytes === null ? null : parseKeyFile(bytes, keyPathOf(place))
}

/** The key at this place, made exactly once by whoever comes first. */
export function* createKey(
  place: KeyPlace,
  lockTimeoutMs: number,
  tools: CreationTools,
): Steps<{ readonly key: StoredKey; readonly created: boolean }> {
  const stateDirectory = prepareStateDirectory(place.directory, place.owner)
  const lock = yield* waitForLock(stateDirectory, lockTimeoutMs, () => readKey(place) !== null, tools.tryLock)
  try {
    const published = { stateDirectory, folder: place.name, file: 'key.json', owner: place.owner }
    for (let attempt = 1; ; attempt++) {
      const existing = readKey(place)
      if (existing !== null) {
        // A winner may not have come to sync its rename yet; what this caller returns must outlive a power cut as well.
        syncDirectory(stateDirectory, place.owner)
        return { key: existing, created: false }
      }
      clearLeftovers(stateDirectory, place.name)
      const made = (tools.make ?? makeKey)()
      const won = yield* publishAndForget(published, made.bytes, tools)
      const key = readKey(place)
      if (key !== null) return { key, created: won && key.deviceId === made.deviceId }
      // Taken, and yet no key: something else lies there, or a reset came between.
      const occupied = occupiedBy(join(place.directory, place.name), 'key.json', attempt === MOST_ATTEMPTS)
      if (occupied !== null) throw occupied
      yield 5
    }
  } finally {
    lock?.release()
  }
}

function* publishAndForget(place: PublishedPlace, bytes: Buffer, tools: CreationTools): Steps<boolean> {
  try {
    return yield* tools.publish(place, bytes)
  } finally {
    bytes.fill(0)
  }
}

/** A key that was made elsewhere, tested and ready to be published. The seed stays the caller's. */
export function keyFrom(
  seed: Uint8Array,
  createdAtMs: number,
): { readonly deviceId: DeviceId; readonly make: () => MadeKey } {
  const publicKey = testedKeyOf(seed)
  const deviceId = deviceIdOf(publicKey)
  return { deviceId, make: () => ({ deviceId, bytes: formatKeyFile(seed, publicKey, createdAtMs) }) }
}

function makeKey(): MadeKey {
  const seed = randomBytes(32)
  try {
    const { bytes } = keyFrom(seed, readClock()).make()
    return { bytes, deviceId: parseKeyFile(Buffer.from(bytes), 'a new key').deviceId }
  } finally {
    seed.fill(0)
  }
}

/** The public key of this seed, once it has signed and verified one message. */
function testedKeyOf(seed: Uint8Array): PublicKey {
  const signer = importSeed(Uint8Array.from(seed))
  const publicKey = publicKeyFromBytes(signer.publicKey)
  const message = Buffer.concat([SELF_TEST, randomBytes(16)])
  if (publicKey !== null && verifySignature(publicKey, message, signer.sign(message))) return publicKey
  const fix = 'This runtime does not do Ed25519 right: use another build of it.'
  throw new IdentityError('KEY_SELF_TEST_FAILED', { implementation: signer.implementation, fix })
}

/** Begins like every byte string we sign: a zero byte and the domain. */
const SELF_TEST = Buffer.from('\0holdfast/identity self-test\0')

function keyPathOf(place: KeyPlace): string {
  return join(place.directory, place.name, 'key.json')
}
