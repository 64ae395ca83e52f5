import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { type Outcome, runProgram } from '../support/processes.ts'
import { secretsIn } from './secret-spellings.ts'
import { freshFolder } from './state-folder.ts'

const spill = new URL('./programs/spill.ts', import.meta.url)

interface Spilled {
  readonly outcome: Outcome
  /** What the program showed, by where. */
  readonly outputs: ReadonlyMap<string, Buffer>
}

/** Plant this key in a program, and collect every output of it. */
async function spilled(secret: Buffer, mode: string, nodeFlags: readonly string[] = []): Promise<Spilled> {
  const folder = freshFolder()
  const source = join(freshFolder(), 'source')
  writeFileSync(source, secret.toString('hex'))
  const outcome = await runProgram(spill, { args: [source, folder, mode], nodeFlags, cwd: folder })
  const files = readdirSync(folder, { withFileTypes: true }).filter(entry => entry.isFile())
  const outputs = new Map(files.map(({ name }) => [name, readFileSync(join(folder, name))]))
  outputs.set('standard output', Buffer.from(outcome.stdout))
  outputs.set('standard error', Buffer.from(outcome.stderr))
  return { outcome, outputs }
}

function leaksOf({ outputs }: Spilled, secret: Buffer): readonly string[] {
  return [...outputs].flatMap(([name, text]) => secretsIn(text, secret).map(what => `${name}: ${what}`))
}

describe('M4 M25: the private key of an install', () => {
  test('is in no output of a program that opens, prints, clones and fails: log, error, environment, argument, report', async () => {
    const secret = randomBytes(32)
    const all = await spilled(secret, 'all')
    expect({ exitCode: all.outcome.exitCode, stderr: all.outcome.stderr }).toEqual({
      exitCode: 0,
      stderr: '',
    })
    expect([...all.outputs.keys()].sort()).toEqual([
      'arguments',
      'environment',
      'failures',
      'identity',
      'report',
      'standard error',
      'standard output',
      'the last matches',
      'the number of failures',
      'what failures say',
    ])
    // Each provoked failure did fail: 13 calls, and two for each of five damages.
    expect(String(all.outputs.get('the number of failures'))).toBe('23')
    expect(leaksOf(all, secret)).toEqual([])
  })

  test('is not in what a program dies of, nor in the report that the runtime writes then', async () => {
    const secret = randomBytes(32)
    const died = await spilled(secret, 'die', ['--report-uncaught-exception', '--report-filename=death'])
    expect(died.outcome.exitCode).not.toBe(0)
    expect(died.outcome.stderr).toContain('KEY_FILE_DAMAGED')
    expect(died.outputs.has('death')).toBe(true)
    expect(leaksOf(died, secret)).toEqual([])
  })

  test('is in no object of the heap once the runtime has collected what opening left', async () => {
    const secret = randomBytes(32)
    const open = await spilled(secret, 'heap', ['--expose-gc'])
    expect(open.outputs.get('heap')?.length).toBeGreaterThan(100_000)
    expect(leaksOf(open, secret)).toEqual([])
  })

  test('would be found, however it were spelled (negative control)', async () => {
    const secret = randomBytes(32)
    const leaky = await spilled(secret, 'leak')
    expect(leaksOf(leaky, secret)).toContain('identity: first half as a list of numbers')
    const held = await spilled(secret, 'leaky heap', ['--expose-gc'])
    expect(leaksOf(held, secret)).toContain('heap: first half as hex')
    const pem = Buffer.concat([Buffer.alloc(16), secret]).toString('base64')
    const spelled = [
      secret.toString('hex'),
      secret.toString('hex').toUpperCase(),
      secret.toString('base64'),
      secret.toString('base64url'),
      secret,
      Buffer.concat([Buffer.from([1]), secret]),
      pem.replaceAll(/.{16}/g, '$&\n'),
      JSON.stringify(pem.replaceAll(/.{16}/g, '$&\n')),
      JSON.stringify([...secret]),
      JSON.stringify(secret),
      JSON.stringify(new Uint8Array(secret)),
      `<Buffer ${secret.toString('hex').replaceAll(/../g, '$& ')}>`,
      Buffer.from(secret.toString('hex'), 'utf16le'),
    ]
    for (const output of spelled) expect(secretsIn(output, secret)).not.toEqual([])
    expect(secretsIn(randomBytes(1_000_000), secret)).toEqual([])
  })
})
