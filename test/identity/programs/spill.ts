// Makes the key in its first argument (a file of 64 hex digits) an install's identity, and writes everything that a program,
// its logs and its diagnostics could show of it to files in its second argument. What it dies of goes to standard error.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { format, inspect } from 'node:util'
import { serialize, writeHeapSnapshot } from 'node:v8'
import { MessageChannel, receiveMessageOnPort } from 'node:worker_threads'
import {
  createEphemeralIdentity,
  type DeviceIdentity,
  exportIdentity,
  findIdentity,
  identityFrom,
  importIdentity,
  openIdentity,
  openIdentitySync,
} from '@holdfast/identity'

const [source = '', folder = '', mode = ''] = process.argv.slice(2)
const directory = join(folder, 'state')

/** Text of an API that shows what it was given. */
function shown(value: unknown): string {
  const clone = (): unknown => structuredClone(value)
  const { port1, port2 } = new MessageChannel()
  port1.postMessage(clone())
  const posted = receiveMessageOnPort(port2)
  port1.close()
  return [
    inspect(value, { depth: Infinity, showHidden: true, getters: true }),
    inspect(value, { depth: Infinity, showHidden: true, customInspect: false }),
    format('%s %o %O %j %d', value, value, value, value, value),
    JSON.stringify(value),
    JSON.stringify({ ...(value as object) }),
    JSON.stringify(clone()),
    JSON.stringify(posted),
    serialize(clone()).toString('latin1'),
    JSON.stringify(Object.entries(Object.getOwnPropertyDescriptors(value))),
    Reflect.ownKeys(value as object).join(),
  ].join('\n')
}

/** What the runtime remembers of the last match, for all to read. */
function lastMatch(): string {
  const { input, lastMatch, leftContext, rightContext } = RegExp as unknown as Record<string, string>
  return [input, lastMatch, leftContext, rightContext].join()
}

const matches: string[] = []

async function failuresOf(acts: readonly (() => unknown)[]): Promise<unknown[]> {
  const failures: unknown[] = []
  for (const act of acts) {
    try {
      await act()
    } catch (error) {
      failures.push(error)
    }
    matches.push(lastMatch())
  }
  return failures
}

/** Nothing of the key may be held by a variable of this program itself. */
async function plant(): Promise<DeviceIdentity> {
  const seed = Buffer.from(readFileSync(source, 'latin1'), 'hex')
  await importIdentity({ seed }, { directory })
  seed.fill(0)
  return openIdentitySync({ directory })
}

async function provoke(): Promise<readonly unknown[]> {
  const keyFile = join(directory, 'device', 'key.json')
  const text = readFileSync(keyFile, 'utf8')
  const { secretKey } = JSON.parse(text)
  const hex = readFileSync(source, 'latin1')
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), Buffer.from(hex, 'hex')])
  const pem = `-----BEGIN PRIVATE KEY-----\n${der.toString('base64')}\n-----END PRIVATE KEY-----\n`
  const other = createEphemeralIdentity()
  const failures = await failuresOf([
    () => identityFrom({ seed: `${secretKey}=` }),
    () => identityFrom({ seed: `${hex}00` }),
    () => identityFrom({ pem: pem.replace('PRIVATE KEY-----\n', 'PRIVATE KEY-----') + pem }),
    () => identityFrom({ pem: pem.replaceAll('PRIVATE', 'EC PRIVATE') }),
    () => identityFrom({ pkcs8: der.subarray(0, 47) }),
    () => identityFrom({ pkcs8: `${der.toString('hex')}zz` }),
    () => identityFrom({ jwk: { kty: 'OKP', crv: secretKey, d: secretKey } }),
    () => identityFrom({ jwk: { kty: 'OKP', crv: 'Ed25519', d: secretKey, x: String(other.publicKey) } }),
    () =>
      identityFrom({
        deviceJson: `{"version":1,"privateKeyPem":${JSON.stringify(pem)},"publicKeyPem":"${secretKey}"}`,
      }),
    () => identityFrom({ deviceJson: `{"version":1,"privateKeyPem":"${secretKey}` }),
    () => identityFrom({ seed: secretKey, ...{ toString: () => secretKey } } as never).sign(secretKey),
    () => exportIdentity(other, { path: join(folder, 'export') }),
    () => importIdentity({ seed: Buffer.alloc(32, 7) }, { directory }),
  ])
  const damages = [
    text.slice(0, -10),
    text.replace('"secretKey"', 'secretKey'),
    text.replace('"version": 1', '"version": 9'),
    text.replace(/"deviceId": "../, '"deviceId": "00'),
    `${text}${secretKey}`,
  ]
  for (const damage of damages) {
    writeFileSync(keyFile, damage)
    failures.push(
      ...(await failuresOf([() => openIdentity({ directory }), () => findIdentity({ directory })])),
    )
  }
  writeFileSync(keyFile, text)
  return failures
}

const identity = await plant()
matches.push(lastMatch())
const outputs: Record<string, string> = {
  identity: shown(identity),
  environment: JSON.stringify(process.env),
  arguments: JSON.stringify([process.argv, process.execArgv, process.title]),
  report: JSON.stringify(process.report.getReport()),
}
console.log(identity, { identity }, [identity])
console.table([identity])
console.dir(identity, { depth: null, showHidden: true })
const held = mode === 'leaky heap' ? readFileSync(source, 'latin1').slice(0, 64) : ''
if (mode.endsWith('heap')) {
  for (let turn = 0; turn < 5; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    globalThis.gc?.()
  }
  writeHeapSnapshot(join(folder, 'heap'))
  console.log(held.length)
} else {
  const failures = await provoke()
  outputs['failures'] = failures.map(shown).join('\n')
  outputs['what failures say'] = failures.map(failure => `${(failure as Error).stack}`).join('\n')
  outputs['the number of failures'] = String(failures.length)
}
if (mode === 'leak')
  outputs['identity'] += JSON.stringify({ secret: [...Buffer.from(readFileSync(source, 'latin1'), 'hex')] })
outputs['the last matches'] = matches.join('\n')
for (const [name, text] of Object.entries(outputs)) writeFileSync(join(folder, name), text)
if (mode === 'die') {
  writeFileSync(join(directory, 'device', 'key.json'), 'x'.repeat(10))
  await openIdentity({ directory })
}
