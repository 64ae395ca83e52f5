import { lstatSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import process from 'node:process'
import { locateState, type StateLocation, shellWord } from '@holdfast/identity/state'
import type { PairingStore } from '@holdfast/pairing-store'
import { nowMs } from './clock.ts'
import { CommandError } from './errors.ts'

/** The options that every command has. */
export interface CommonOptions {
  readonly app?: string
  readonly stateDir?: string
  readonly profile?: string
  readonly store?: string
  readonly json?: boolean
}

/** One command line: its words, without `holdfast`, and where it prints. */
export interface CommandLine {
  readonly words: readonly string[]
  readonly printOut: (text: string) => void
  readonly printError: (text: string) => void
}

/** What a command works with. The user and the streams are touched in this file only. */
export interface Wiring {
  readonly line: CommandLine
  readonly location: StateLocation
  /** The path of a file, or the address of a server, without a password. */
  readonly storePath: string
  readonly storeIsServer: boolean
  /** Who owns the state directory; null where there is none, and where the platform has no uids. */
  readonly ownerUid: number | null
  readonly json: boolean
  readonly nowMs: () => number
  /** One line on standard output. */
  readonly say: (text: string) => void
  /** One line on standard error: progress and remarks, never results. */
  readonly remark: (text: string) => void
  /** What is going on, as one line that replaces itself where standard error is a terminal; `null` ends it. */
  readonly progress: (text: string | null) => void
  /** Is standard error such a terminal? */
  readonly interactive: boolean
  /** What a person at the terminal answers, or `null` where nobody sits there. */
  readonly ask: (question: string) => Promise<string | null>
  /** Everything on standard input. */
  readonly readInput: () => Promise<Buffer>
}

/** What a command ends with: the object for `--json`, or the lines for people. */
export interface CommandResult {
  readonly json: Readonly<Record<string, unknown>>
  readonly lines: readonly string[]
  /** @defaultValue 0 */
  readonly exitCode?: 0 | 1
}

/**
 * What a command works with, by its options.
 *
 * @throws {@link CommandError} `USAGE`: an option is empty, as a shell variable that is not set makes it, or is no path.
 */
export async function wire(line: CommandLine, options: CommonOptions): Promise<Wiring> {
  for (const [name, value] of [
    ['--state-dir', options.stateDir],
    ['--store', options.store],
  ] as const) {
    if (value === '') throw new CommandError('USAGE', { reason: `${name} is empty` })
  }
  const server = await serverIn(options.store)
  const location = locateState({
    ...(options.stateDir === undefined
      ? { app: options.app ?? 'holdfast', profile: options.profile }
      : { app: options.app, profile: options.profile, directory: resolve(options.stateDir) }),
  })
  return {
    line,
    location,
    storePath: server ?? (options.store === undefined ? location.store : resolve(options.store)),
    storeIsServer: server !== null,
    ownerUid: process.getuid === undefined ? null : ownerOf(location.directory),
    json: options.json ?? false,
    nowMs,
    say: text => line.printOut(`${text}\n`),
    remark: text => line.printError(`${text}\n`),
    progress: text => showProgress(text, line),
    interactive: process.stderr.isTTY === true,
    ask,
    readInput: async () => Buffer.concat(await process.stdin.toArray()),
  }
}

/** The address of a server, where that is what was given. Other users see the words of a command line. */
async function serverIn(store: string | undefined): Promise<string | null> {
  if (store === undefined || !/^[a-z][a-z0-9+.-]*:\/\//i.test(store)) return null
  const { parsePostgresUrl } = await import('@holdfast/pairing-store')
  const address = parsePostgresUrl(store)
  if (address === null) {
    throw new CommandError('USAGE', { reason: '--store is the path of an SQLite file, or postgres://…' })
  }
  if (!address.hasPassword) return address.shown
  const reason =
    '--store: leave the password out, and put it into ~/.pgpass (0600): others see a command line'
  throw new CommandError('USAGE', { reason })
}

async function ask(question: string): Promise<string | null> {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return null
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input: process.stdin, output: process.stderr })
  try {
    return await lines.question(question)
  } finally {
    lines.close()
  }
}

function showProgress(text: string | null, { printError }: CommandLine): void {
  if (process.stderr.isTTY) printError(text === null ? '\n' : `\r${text}`)
  else if (text !== null) printError(`${text}\n`)
}

/** Run `use` on the store of this install, and let go of it afterwards. A store is never made by looking for one. */
export async function withStore<T>(wiring: Wiring, use: (store: PairingStore) => Promise<T>): Promise<T> {
  if (!wiring.storeIsServer) requireStore(wiring)
  return useStore(wiring, false, use)
}

/** The same, for what may come before the first start of a gateway: it makes the store where there is none yet. */
export function withNewStore<T>(wiring: Wiring, use: (store: PairingStore) => Promise<T>): Promise<T> {
  return useStore(wiring, true, use)
}

async function useStore<T>(
  wiring: Wiring,
  create: boolean,
  use: (store: PairingStore) => Promise<T>,
): Promise<T> {
  refuseForeignOwner(wiring)
  // Loading the store takes longer than all the rest, and most commands about the identity need none.
  const { openPostgresStore, openSqliteStore } = await import('@holdfast/pairing-store')
  const { storePath, storeIsServer } = wiring
  const store = await (storeIsServer
    ? openPostgresStore({ url: storePath, create })
    : openSqliteStore({ path: storePath }))
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

/** The store's file is there, and ours. @throws {@link CommandError} `STORE_MISSING`, `OWNER_DIFFERS`, `USAGE` */
export function requireStore(wiring: Wiring): void {
  requireFile(wiring)
  refuseForeignOwner(wiring)
  if (ownerOf(wiring.storePath) !== null) return
  throw new CommandError('STORE_MISSING', {
    path: wiring.storePath,
    fix: `Start a gateway there first: holdfast gateway ${placeOptions(wiring)}`,
  })
}

/** @throws {@link CommandError} `USAGE`: the store is on a server, which has tools of its own for this. */
export function requireFile({ storeIsServer }: Wiring): void {
  if (!storeIsServer) return
  throw new CommandError('USAGE', { reason: 'that is for SQLite files: on a server, pg_dump and pg_restore' })
}

/**
 * Refuse to touch what belongs to another user: SQLite would leave files behind that its owner cannot write. That goes
 * for root as well.
 *
 * @throws {@link CommandError} `OWNER_DIFFERS`, with the command that works.
 */
export function refuseForeignOwner(wiring: Wiring): void {
  const uid = process.getuid?.()
  if (uid === undefined) return
  const files = wiring.storeIsServer ? [] : [wiring.storePath]
  for (const path of [...files, wiring.location.directory]) {
    const ownerUid = ownerOf(path)
    if (ownerUid === null || ownerUid === uid) continue
    const command = ['holdfast', ...withoutPlace(wiring.line.words)].map(shellWord).join(' ')
    const fix = `sudo -u '#${ownerUid}' ${command} ${placeOptions(wiring)}`
    throw new CommandError('OWNER_DIFFERS', { path, ownerUid, uid, fix })
  }
}

/** @throws {@link CommandError} `USAGE`: what was given as `--after` is not the cursor of a page. */
export function checkCursor(after: string | undefined, parse: (text: string) => unknown): void {
  if (after !== undefined && parse(after) === null) {
    throw new CommandError('USAGE', { reason: '--after takes the `next` of the page before' })
  }
}

/** A command line without the options that say where the install is: they are said anew, as absolute paths. */
function withoutPlace(words: readonly string[]): string[] {
  const place = /^--(state-dir|profile|store|app)(=|$)/
  return words.filter(
    (word, at) => !place.test(word) && !/^--(state-dir|profile|store|app)$/.test(words[at - 1] ?? ''),
  )
}

/** The options that name this install and its store on another command line. */
export function placeOptions({ location, storePath }: Wiring): string {
  const store = storePath === location.store ? '' : ` --store ${shellWord(storePath)}`
  return `--state-dir ${shellWord(location.directory)}${store}`
}

/** Who owns what is there, or `null` where nothing is. Where we may not look, it is whoever owns what bars the way. */
function ownerOf(path: string): number | null {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.uid ?? null
  } catch (error) {
    const barred =
      error instanceof Error && 'code' in error && ['EACCES', 'EPERM'].includes(String(error.code))
    const parent = dirname(path)
    if (!barred || parent === path) throw error
    return ownerOf(parent)
  }
}
