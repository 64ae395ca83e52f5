import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { WebSocket } from 'ws'
import { cacheDirectory, commandFile, PINNED_NODE, type RealVersion } from './real-versions.ts'

/** A bound for what hangs. A start takes 6 to 20 s on two quiet cores, and has taken 70 s on busy ones. */
const STARTUP_BOUND_MS = 400_000
const STOP_BOUND_MS = 30_000

const preload = (name: string): string => `--import=${new URL(name, import.meta.url).href}`

/** What these releases offer to stay on the machine; `loopback-only.mjs` sees to the rest. */
const OFFLINE = {
  OPENCLAW_DISABLE_BONJOUR: '1',
  OPENCLAW_SKIP_CHANNELS: '1',
  OPENCLAW_SKIP_CRON: '1',
  OPENCLAW_SKIP_CANVAS_HOST: '1',
  OPENCLAW_SKIP_BROWSER_CONTROL_SERVER: '1',
  npm_config_offline: 'true',
  NODE_OPTIONS: ['./loopback-only.mjs', './ends-with-the-tests.mjs'].map(preload).join(' '),
  HOLDFAST_TEST_RUNNER: String(process.pid),
}

/** The HOME of one OpenClaw install, with nothing of this user's in it. */
export interface RealHome {
  readonly directory: string
  /** `$HOME/.openclaw` */
  readonly stateDirectory: string
  readonly gatewayToken: string
  remove(): void
}

export interface RealGateway {
  readonly version: RealVersion
  readonly home: RealHome
  readonly port: number
  /** `ws://127.0.0.1:<port>` */
  readonly url: string
  readonly pid: number
  /** From spawn to the first admission, in ms. */
  readonly startedInMs: number
  /** What it has written so far, both streams. */
  logs(): string
  /** SIGTERM, then SIGKILL for the whole process group; resolves when it is gone. */
  stop(): Promise<void>
}

export interface RealCommandOutcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

const groups = new Set<number>()
process.once('exit', () => {
  for (const pid of groups) killGroup(pid, 'SIGKILL')
})

/** A new, empty HOME. The gateway that starts on it writes its config there. */
export function createRealHome(): RealHome {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-openclaw-home-'))
  const stateDirectory = join(directory, '.openclaw')
  mkdirSync(stateDirectory, { mode: 0o700 })
  mkdirSync(join(directory, 'tmp'), { mode: 0o700 })
  return {
    directory,
    stateDirectory,
    gatewayToken: `test-gateway-token-${'0123456789abcdef'.repeat(2)}`,
    remove: () => rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }),
  }
}

export interface StartOptions {
  /** @defaultValue a free one */
  readonly port?: number
  /** Further settings below the key `gateway` of its configuration. */
  readonly gateway?: Readonly<Record<string, unknown>>
}

/** 2026.9 gives itself 5 s for one step of its start, and ends where a busy machine takes longer. */
const GAVE_UP = /trigger=timeout/
const STARTS = 3

/**
 * Start one release's gateway on loopback and wait until it admits clients. Starting another release on the same
 * home is an upgrade; starting the same one again is a restart, and with the same port its clients find it again.
 */
export async function startRealGateway(
  version: RealVersion,
  home: RealHome,
  options: StartOptions = {},
): Promise<RealGateway> {
  for (let start = 1; ; start++) {
    try {
      return await startOnce(version, home, options)
    } catch (error) {
      if (start === STARTS || !GAVE_UP.test(String(error))) throw error
    }
  }
}

async function startOnce(version: RealVersion, home: RealHome, options: StartOptions): Promise<RealGateway> {
  const port = options.port ?? (await freePort())
  writeFileSync(join(home.stateDirectory, 'openclaw.json'), configText(home, port, options.gateway ?? {}), {
    mode: 0o600,
  })
  const startedAtMs = Date.now()
  const child = spawnReal(version, home, ['gateway', 'run'])
  const { pid } = child
  if (pid === undefined) throw new Error(`openclaw ${version} could not be started`)
  let logged = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      logged += text
    })
  }
  const url = `ws://127.0.0.1:${port}`
  try {
    await readyToConnect(url, home.gatewayToken, child)
  } catch (cause) {
    await stopGroup(child, pid)
    throw new Error(`openclaw ${version} did not start: ${logged.slice(-4000)}`, { cause })
  }
  return {
    version,
    home,
    port,
    url,
    pid,
    startedInMs: Date.now() - startedAtMs,
    logs: () => logged,
    stop: () => stopGroup(child, pid),
  }
}

/** Run one release's command line to its end, on a HOME. */
export function runRealCommand(
  version: RealVersion,
  home: RealHome,
  args: readonly string[],
  boundMs = 180_000,
): Promise<RealCommandOutcome> {
  const child = spawnReal(version, home, args)
  const { pid } = child
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    const bound = setTimeout(() => {
      if (pid !== undefined) killGroup(pid, 'SIGKILL')
    }, boundMs)
    child.once('error', reject)
    child.once('close', exitCode => {
      clearTimeout(bound)
      if (pid !== undefined) groups.delete(pid)
      resolve({ exitCode, stdout, stderr })
    })
  })
}

/** A port that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port)
        else reject(new Error('no port'))
      })
    })
  })
}

function configText(home: RealHome, port: number, more: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({
    update: { checkOnStart: false },
    // Else the oldest logs into a folder of the system's that all its installs share.
    logging: { file: join(home.directory, 'gateway.log') },
    gateway: {
      mode: 'local',
      bind: 'loopback',
      port,
      auth: { mode: 'token', token: home.gatewayToken },
      ...more,
    },
  })
}

/** In a process group of its own: the releases start themselves again with other flags, and start helpers. */
function spawnReal(version: RealVersion, home: RealHome, args: readonly string[]): ChildProcess {
  const child = spawn(REAL_NODE, [commandFile(version), ...args], {
    cwd: home.directory,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: realEnvironment(version, home),
  })
  if (child.pid !== undefined) groups.add(child.pid)
  return child
}

/** The Node that runs the releases. */
export const REAL_NODE = existsSync(PINNED_NODE) ? PINNED_NODE : process.execPath

/** What a release sees of the world: its HOME, and no way off this machine. */
export function realEnvironment(version: RealVersion, home: RealHome): Readonly<Record<string, string>> {
  return {
    PATH: `${dirname(REAL_NODE)}:${process.env['PATH'] ?? ''}`,
    LANG: 'C.UTF-8',
    NO_COLOR: '1',
    HOME: home.directory,
    TMPDIR: join(home.directory, 'tmp'),
    NODE_COMPILE_CACHE: join(cacheDirectory(), `compiled-${version}`),
    ...OFFLINE,
  }
}

/**
 * The newest challenges before it is ready, and answers `UNAVAILABLE` until then. A client without a device leaves no trace
 * in any of the three.
 */
async function readyToConnect(url: string, token: string, child: ChildProcess): Promise<void> {
  const deadlineMs = Date.now() + STARTUP_BOUND_MS
  while (Date.now() < deadlineMs) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Error(`it ended with ${child.exitCode}`)
    if (await isAdmittedWithoutDevice(url, token)) return
    await new Promise(resolve => setTimeout(resolve, 200))
  }
  throw new Error(`it admitted nobody within ${STARTUP_BOUND_MS} ms`)
}

function isAdmittedWithoutDevice(url: string, token: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = new WebSocket(url, { handshakeTimeout: 5_000 })
    socket.on('message', data => {
      const frame = JSON.parse(String(data))
      if (frame.type === 'res') {
        resolve(frame.ok === true)
        socket.close()
      } else if (frame.event === 'connect.challenge') {
        const client = { id: 'cli', version: '1.0.0', platform: 'linux', mode: 'cli' }
        const params = { minProtocol: 3, maxProtocol: 4, client, scopes: [], auth: { token } }
        socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params }))
      }
    })
    socket.once('error', () => resolve(false))
    socket.once('close', () => resolve(false))
  })
}

async function stopGroup(child: ChildProcess, pid: number): Promise<void> {
  const gone = new Promise<void>(resolve => {
    if (child.exitCode !== null || child.signalCode !== null) resolve()
    else child.once('exit', () => resolve())
  })
  child.kill('SIGTERM')
  const bound = setTimeout(() => killGroup(pid, 'SIGKILL'), STOP_BOUND_MS)
  await gone
  clearTimeout(bound)
  killGroup(pid, 'SIGKILL')
  groups.delete(pid)
}

function killGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal)
  } catch {
    return // The group is gone already.
  }
}
