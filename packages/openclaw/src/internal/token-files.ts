import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  constants,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { OpenClawError } from '../errors.ts'
import { errnoOf } from './foreign-key.ts'
import type { Surroundings } from './surroundings.ts'

/** A device token of one gateway, for one device in one role. */
export interface StoredToken {
  readonly token: string
  /** What the gateway said it is good for. */
  readonly scopes: readonly string[]
}

/** Whose token: each has a file of its own, so that writing one can never lose another. */
export interface TokenKey {
  readonly gateway: string
  readonly deviceId: string
  readonly role: string
}

/** Where tokens are kept. Everything is synchronous, since the callbacks that use it are. */
export interface TokenStore {
  read(key: TokenKey): StoredToken | null
  /** @throws {@link OpenClawError} `OPENCLAW_NOT_WRITABLE` */
  write(key: TokenKey, entry: StoredToken): void
  /** @throws {@link OpenClawError} `OPENCLAW_NOT_WRITABLE` */
  remove(key: TokenKey): void
}

const FOLDER = 'openclaw-tokens'
const MOST_BYTES = 64 * 1024
const WINDOWS_ATTEMPTS = 50

/** Tokens in files of this user's alone, below a state directory. A file that others can read or write counts as none. */
export function tokenFiles(stateDirectory: string, surroundings: Surroundings): TokenStore {
  const folder = join(stateDirectory, FOLDER)
  return {
    read: key => readEntry(join(folder, fileName(key)), surroundings),
    write: (key, entry) =>
      changing(folder, () => {
        mkdirSync(folder, { recursive: true, mode: 0o700 })
        replace(folder, fileName(key), `${JSON.stringify({ ...key, ...entry }, null, 2)}\n`, surroundings)
      }),
    remove: key => changing(folder, () => rmSync(join(folder, fileName(key)), { force: true })),
  }
}

function changing(folder: string, change: () => void): void {
  try {
    // A link could lead to a folder that somebody else looks into.
    if (lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) throw new Error('a link')
    change()
  } catch (cause) {
    const fix = `Give this user a folder of its own there: ${folder}`
    throw new OpenClawError('OPENCLAW_NOT_WRITABLE', { path: folder, errno: errnoOf(cause), fix }, { cause })
  }
}

/** Tokens for as long as this process lives: for identities that have no place of their own. */
export function tokenMemory(): TokenStore {
  const entries = new Map<string, StoredToken>()
  return {
    read: key => entries.get(fileName(key)) ?? null,
    write: (key, entry) => void entries.set(fileName(key), entry),
    remove: key => void entries.delete(fileName(key)),
  }
}

/** No text of a peer's becomes part of a path. */
function fileName({ gateway, deviceId, role }: TokenKey): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([gateway, deviceId, role]))
    .digest('hex')
  return `token-${digest.slice(0, 40)}.json`
}

function readEntry(path: string, { platform, uid }: Surroundings): StoredToken | null {
  let descriptor: number
  try {
    const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants
    descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  } catch {
    return null // No token that we could use: the gateway token makes a new one.
  }
  try {
    const facts = fstatSync(descriptor)
    if (!facts.isFile() || facts.size > MOST_BYTES) return null
    const exposed = (facts.mode & 0o077) !== 0 || (uid !== null && facts.uid !== uid)
    if (platform !== 'win32' && exposed) return null
    return parseEntry(readFileSync(descriptor, 'utf8'))
  } finally {
    closeSync(descriptor)
  }
}

function parseEntry(text: string): StoredToken | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return null // Damaged: a token is made anew, so nothing is lost with it.
  }
  const { token, scopes } = (value ?? {}) as Readonly<Record<string, unknown>>
  if (typeof token !== 'string' || token === '') return null
  if (!Array.isArray(scopes) || !scopes.every(scope => typeof scope === 'string')) return null
  return { token, scopes }
}

/** A reader sees the old file or the new one, and either is whole. */
function replace(folder: string, file: string, text: string, { platform }: Surroundings): void {
  const own = join(folder, `.${file}.${randomBytes(8).toString('hex')}`)
  try {
    const descriptor = openSync(own, 'wx', 0o600)
    try {
      writeSync(descriptor, text)
      fsyncSync(descriptor)
    } finally {
      closeSync(descriptor)
    }
    renameOver(own, join(folder, file), platform)
  } finally {
    rmSync(own, { force: true })
  }
}

function renameOver(own: string, target: string, platform: NodeJS.Platform): void {
  for (let attempt = 1; ; attempt++) {
    try {
      renameSync(own, target)
      return
    } catch (error) {
      // Windows refuses while anybody has the target open.
      const busy = platform === 'win32' && ['EPERM', 'EACCES', 'EBUSY'].includes(errnoOf(error))
      if (!busy || attempt === WINDOWS_ATTEMPTS) throw error
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
    }
  }
}
