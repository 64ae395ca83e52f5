import { open, readFile, stat } from 'node:fs/promises'
import { type DecisionEntry, decisionLogPaths } from '@holdfast/gateway'
import type { Wiring } from './wiring.ts'

/** What the gateway of this install wrote down, the oldest first; it keeps the last few thousand decisions. */
export async function readDecisions(wiring: Wiring): Promise<DecisionEntry[]> {
  const { former, current } = decisionLogPaths(wiring.location)
  const texts = [await readIfThere(former), await readIfThere(current)]
  return texts.flatMap(text => text.split('\n')).flatMap(line => parseEntry(line) ?? [])
}

/** Follows the log from its present end: each call gives what was written since the one before. */
export async function followDecisions(wiring: Wiring): Promise<() => Promise<DecisionEntry[]>> {
  const { current } = decisionLogPaths(wiring.location)
  const start = await statIfThere(current)
  let place = { inode: start?.ino ?? null, offset: start?.size ?? 0 }
  let rest = ''
  return async () => {
    const now = await statIfThere(current)
    if (now === null) return []
    // Another file has taken its place: it is read from its beginning.
    if (now.ino !== place.inode) place = { inode: now.ino, offset: 0 }
    const bytes = await readFrom(current, place.offset, now.size)
    place.offset += bytes.length
    const lines = `${rest}${bytes.toString('utf8')}`.split('\n')
    rest = lines.pop() ?? ''
    return lines.flatMap(line => parseEntry(line) ?? [])
  }
}

/** `null` for a line that was cut off in the middle, or that another version wrote. */
function parseEntry(line: string): DecisionEntry | null {
  try {
    const value = JSON.parse(line) as Partial<DecisionEntry> | null
    const isEntry = typeof value?.atMs === 'number' && typeof value.event?.event === 'string'
    return isEntry ? (value as DecisionEntry) : null
  } catch (error) {
    if (error instanceof SyntaxError) return null
    throw error
  }
}

async function readFrom(path: string, offset: number, end: number): Promise<Buffer> {
  if (end <= offset) return Buffer.alloc(0)
  const file = await open(path, 'r')
  try {
    const buffer = Buffer.alloc(end - offset)
    const { bytesRead } = await file.read(buffer, 0, buffer.length, offset)
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

async function readIfThere(path: string): Promise<string> {
  return (await orNull(readFile(path, 'utf8'))) ?? ''
}

function statIfThere(path: string) {
  return orNull(stat(path))
}

async function orNull<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw error
  }
}
