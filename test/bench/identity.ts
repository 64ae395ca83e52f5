import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync, sign, verify } from 'node:crypto'
import { closeSync, fsyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { openIdentity, openIdentitySync, verifySignature } from '@holdfast/identity'
import { type Comparison, compare, type Section } from './measure.ts'

const program = (name: string): string => fileURLToPath(new URL(`./programs/${name}.mjs`, import.meta.url))
const LAUNCHED = 96

/** What an identity costs, beside what the same costs without this library. */
export async function measureIdentity(): Promise<Section> {
  const folder = mkdtempSync(join(tmpdir(), 'holdfast-bench-'))
  try {
    const comparisons = [
      await openingAsProcess(folder),
      ...(await signing(folder)),
      await creating(folder),
      await launchingTogether(folder),
    ]
    const remarks = [
      'Opening and launching run what is published (`dist`), each program from its start to its end.',
      'Creating is one call in a process that runs already: ours also takes the lock, publishes by rename, and syncs three ' +
        'directories; the bare one writes one file and syncs it.',
      `Launching starts ${LAUNCHED} processes at once on a fresh directory and ends with the last of them; the bare one ` +
        'starts as many programs that do nothing.',
    ]
    return { title: 'Identity', comparisons, remarks }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

async function openingAsProcess(folder: string): Promise<Comparison> {
  const directory = join(folder, 'existing')
  await openIdentity({ directory })
  return compare({
    title: 'open an identity that is there, whole process',
    unit: 'ms',
    against: 'a script that reads the same JSON and imports the key',
    rounds: 100,
    budget: 1.25,
    ours: () => runToEnd(program('open'), directory),
    bare: () => runToEnd(program('read-key'), directory),
  })
}

async function signing(folder: string): Promise<readonly Comparison[]> {
  const identity = openIdentitySync({ directory: join(folder, 'existing') })
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const message = Buffer.alloc(256, 'holdfast')
  const [oursSigned, bareSigned] = [identity.sign(message), sign(null, message, privateKey)]
  const repeats = 500
  const often = (act: () => unknown) => (): void => {
    for (let turn = 0; turn < repeats; turn++) act()
  }
  const common = { unit: 'µs', rounds: 40, repeats } as const
  return [
    await compare({
      ...common,
      title: 'sign 256 bytes',
      against: '`node:crypto`',
      ours: often(() => identity.sign(message)),
      bare: often(() => sign(null, message, privateKey)),
    }),
    await compare({
      ...common,
      title: 'verify 256 bytes',
      against: '`node:crypto`, which accepts more',
      ours: often(() => verifySignature(identity.publicKey, message, oursSigned)),
      bare: often(() => verify(null, message, publicKey, bareSigned)),
    }),
  ]
}

async function creating(folder: string): Promise<Comparison> {
  let made = 0
  return compare({
    title: 'create an identity',
    unit: 'ms',
    against: 'generate, write and fsync one file',
    rounds: 60,
    ours: () => openIdentitySync({ directory: join(folder, `ours-${made++}`) }),
    bare: () => writeBareKey(join(folder, `bare-${made++}`)),
  })
}

function writeBareKey(directory: string): void {
  mkdirSync(directory)
  const { privateKey } = generateKeyPairSync('ed25519')
  const descriptor = openSync(join(directory, 'key.json'), 'wx', 0o600)
  writeSync(descriptor, JSON.stringify(privateKey.export({ format: 'jwk' })))
  fsyncSync(descriptor)
  closeSync(descriptor)
}

async function launchingTogether(folder: string): Promise<Comparison> {
  let launched = 0
  return compare({
    title: `${LAUNCHED} processes, first launch together`,
    unit: 'ms',
    against: `${LAUNCHED} programs that do nothing`,
    rounds: 5,
    ours: () => launch(program('open'), join(folder, `launched-${launched++}`)),
    bare: () => launch(program('nothing'), folder),
  })
}

async function launch(script: string, directory: string): Promise<void> {
  const answers = await Promise.all(Array.from({ length: LAUNCHED }, () => start(script, directory)))
  // Measured is only what also works.
  if (new Set(answers).size !== 1) throw new Error(`${new Set(answers).size} answers of ${script}`)
}

function start(script: string, directory: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
    let output = ''
    child.stdout.setEncoding('utf8').on('data', text => {
      output += text
    })
    child.once('error', reject)
    child.once('close', code =>
      code === 0 ? resolve(output) : reject(new Error(`${script} ended with ${code}`)),
    )
  })
}

function runToEnd(script: string, directory: string): void {
  const { status, stderr } = spawnSync(process.execPath, [script, directory])
  if (status !== 0) throw new Error(`${script}: ${stderr}`)
}
