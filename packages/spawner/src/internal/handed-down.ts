import { Socket } from 'node:net'
import { idsIn } from '@holdfast/handshake'
import { type DelegationLoss, SpawnerError } from '../errors.ts'
import {
  type Bundle,
  MAX_BUNDLE_BYTES,
  parseBundle,
  parseRenewal,
  type Renewal,
} from './delegation-bundle.ts'
import { takeFile } from './delegation-file.ts'
import { appOfMarker, type DelegationPlace, findMarker, parseMarker } from './delegation-marker.ts'
import { surroundings } from './surroundings.ts'

/** What this process was given by its parent, renewed as long as the parent lives. */
export interface HandedDown extends Omit<Bundle, 'chain' | 'url'> {
  /** The app that the marker names. */
  readonly app: string
  /** As it is now. */
  readonly current: Renewal
  /** Told of each renewal. Returns how to stop. */
  onRenewal(listener: () => void): () => void
}

/** How long a child waits for its parent to write, in ms. */
const PATIENCE_MS = 60_000

/** What was taken stays with the process: the place can be read once. */
const taken = new Map<string, Promise<HandedDown>>()

/**
 * What the parent handed down for this app, or for the only one there is; `null`: there is no marker, so nothing was.
 *
 * @throws {@link SpawnerError} `DELEGATION_UNAVAILABLE`: there is a marker, and nothing that can be used
 */
export function takeDelegation(app: string | null): Promise<HandedDown> | null {
  const { environment } = surroundings
  const variable = findMarker(environment, app)
  if (variable === null) return null
  const known = taken.get(variable)
  if (known !== undefined) return known
  const taking = take(variable, environment[variable] ?? '')
  taken.set(variable, taking)
  return taking
}

async function take(variable: string, marker: string): Promise<HandedDown> {
  const place = parseMarker(marker)
  if (place === null) throw unavailable(variable, marker, 'marker')
  const bytes = place.kind === 'file' ? takeFile(place.path) : await readPipe(place.fd)
  if (typeof bytes === 'string') throw unavailable(variable, marker, bytes)
  const bundle = parseBundle(bytes)
  if (bundle === null) throw unavailable(variable, marker, bytes.length === 0 ? 'empty' : 'malformed')
  return keep(bundle, appOfMarker(variable), place)
}

function keep(bundle: Bundle, app: string, place: DelegationPlace): HandedDown {
  const { chain, url, ...rest } = bundle
  const listeners = new Set<() => void>()
  let current: Renewal = { chain, url }
  if (place.kind === 'pipe' && place.renewalFd !== null) {
    followRenewals(place.renewalFd, renewal => {
      // One for another key would be of no use, and would take the place of one that is.
      if (idsIn(renewal.chain).at(-1) !== bundle.identity.id) return
      current = renewal
      for (const listener of listeners) listener()
    })
  }
  return {
    ...rest,
    app,
    get current() {
      return current
    },
    onRenewal: listener => {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}

/** Everything that comes over an inherited pipe, which is closed then. */
async function readPipe(fd: number): Promise<Buffer | DelegationLoss> {
  const socket = openPipe(fd)
  if (socket === null) return 'descriptor'
  return new Promise(resolve => {
    const chunks: Buffer[] = []
    let bytes = 0
    const end = (answer: Buffer | DelegationLoss): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(() => end('timeout'), PATIENCE_MS)
    socket.on('error', () => end('descriptor'))
    socket.on('end', () => {
      const whole = Buffer.concat(chunks)
      for (const chunk of chunks) chunk.fill(0)
      end(whole.length === 0 ? 'empty' : whole)
    })
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      bytes += chunk.length
      if (bytes > MAX_BUNDLE_BYTES) end('malformed')
    })
  })
}

function followRenewals(fd: number, heard: (renewal: Renewal) => void): void {
  const socket = openPipe(fd)
  if (socket === null) return
  let text = ''
  socket.setEncoding('utf8')
  socket.on('error', () => socket.destroy())
  socket.on('end', () => socket.destroy())
  socket.on('data', (chunk: string) => {
    text += chunk
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      const renewal = parseRenewal(line)
      if (renewal !== null) heard(renewal)
    }
    if (text.length > MAX_BUNDLE_BYTES) socket.destroy()
  })
  // A child that has nothing else to do may end.
  socket.unref()
}

/** An inherited descriptor, or `null` where it is none or is of another kind. */
function openPipe(fd: number): Socket | null {
  try {
    return new Socket({ fd, readable: true, writable: false })
  } catch (error) {
    if (error instanceof Error && 'code' in error) return null
    throw error
  }
}

const REPAIRS: Readonly<Record<DelegationLoss, string>> = {
  marker: 'Start it with spawnAgent, or as DELEGATION.md says.',
  descriptor: 'Hand the descriptors down as they are: a program in between may have closed them.',
  empty:
    'It can be read once, by one process: connect in the child itself, and let it spawn its own children.',
  timeout: 'See whether the parent still lives.',
  'file-absent': 'It can be read once: leave a new file for each start.',
  'file-foreign': 'The file must belong to the user who reads it, with mode 0600 and no links.',
  'file-fixed': 'The folder of the file must be one that the child can take it out of.',
  malformed: 'Write what leaveDelegation or spawnAgent writes, whole.',
}

function unavailable(variable: string, place: string, reason: DelegationLoss): SpawnerError {
  return new SpawnerError('DELEGATION_UNAVAILABLE', { variable, place, reason, fix: REPAIRS[reason] })
}
