import { type ChildProcess, type SpawnOptions, type StdioOptions, spawn } from 'node:child_process'
import type { Writable } from 'node:stream'
import type { DeviceIdentity } from '@holdfast/identity'
import { childEnvironment } from './child-environment.ts'
import type { DelegatedOptions } from './delegated-options.ts'
import { readyNextChildKey } from './internal/child-key.ts'
import { formatMarker, markedEnvironment } from './internal/delegation-marker.ts'
import { type HandDown, makeHandDown } from './internal/hand-down.ts'

/** The options of `node:child_process`, and whose install the child belongs to. */
export interface InstallChildOptions extends SpawnOptions {
  readonly identity: DeviceIdentity
  readonly scopes?: undefined
}

/** The options of `node:child_process`, and what the child is given of its own. */
export interface DelegatedChildOptions extends SpawnOptions, DelegatedOptions {}

export type SpawnAgentOptions = InstallChildOptions | DelegatedChildOptions

/**
 * Start a child that can connect, as `spawn` of `node:child_process` does.
 *
 * With `scopes` the child gets a right of its own: a key made for it alone, and a delegation for that key: narrower, for a
 * while, at one gateway. Both go over an inherited pipe that can be read once; neither is in its arguments, its environment
 * or a file. The variables that lead to the install's key are taken out of its environment, and a marker is left, which is no
 * secret: by it a child that cannot read what it was given fails with `DELEGATION_UNAVAILABLE`, instead of using the
 * install's key. In the child `connectToGateway()` is enough; for other languages see `DELEGATION.md`. While this process
 * lives the right is renewed over a second pipe.
 *
 * Without `scopes` the child belongs to the install, with all that the install has: {@link childEnvironment} is added to `env`
 * (or to this process's environment where no `env` is given).
 *
 * In both cases what the caller's own environment holds beside that is handed on as it is.
 *
 * @throws {@link SpawnerError} `IDENTITY_IN_MEMORY`, `GATEWAY_NOT_FOUND`, `DELEGATION_UNSUPPORTED`, and nothing was started.
 * @throws `HandshakeError` `DELEGATION_INVALID`, and nothing was started.
 */
export function spawnAgent(
  command: string,
  args: readonly string[],
  options: SpawnAgentOptions,
): ChildProcess {
  if (options.scopes !== undefined) return spawnDelegated(command, args, options)
  const { identity, ...rest } = options
  const handedDown = childEnvironment(identity)
  return spawn(command, args, { ...rest, env: { ...(rest.env ?? process.env), ...handedDown } })
}

function spawnDelegated(
  command: string,
  args: readonly string[],
  options: DelegatedChildOptions,
): ChildProcess {
  const handDown = makeHandDown(options)
  try {
    return spawnWithPipes(command, args, { options, handDown })
  } catch (error) {
    handDown.bundle.fill(0)
    throw error
  }
}

function spawnWithPipes(
  command: string,
  args: readonly string[],
  { options, handDown }: { readonly options: DelegatedChildOptions; readonly handDown: HandDown },
): ChildProcess {
  const { renew = true, env = process.env } = options
  const stdio = stdioList(options.stdio)
  const fd = stdio.length
  const renewalFd = renew ? fd + 1 : null
  const marker = formatMarker({ kind: 'pipe', fd, renewalFd })
  const child = spawn(command, args, {
    ...spawnOptionsOf(options),
    env: markedEnvironment(env, handDown.app, marker),
    stdio: [...stdio, 'pipe', ...(renew ? (['pipe'] as const) : [])],
  })
  give(child.stdio[fd], handDown.bundle)
  if (renewalFd !== null) keepRenewing(child, child.stdio[renewalFd], handDown)
  readyNextChildKey()
  return child
}

/** Three at least, as a list that more can follow. */
function stdioList(stdio: StdioOptions | undefined): Exclude<StdioOptions, string>[number][] {
  if (Array.isArray(stdio)) return [...stdio, ...Array(Math.max(0, 3 - stdio.length)).fill('pipe')]
  return Array(3).fill(stdio ?? 'pipe')
}

function spawnOptionsOf(options: DelegatedChildOptions): SpawnOptions {
  const { identity, connection, role, scopes, ttlMs, depth, caveats, url, gatewayId, renew, ...rest } =
    options
  return rest
}

/** Written and closed: whoever reads it after the child finds its end. */
function give(pipe: ChildProcess['stdio'][number] | undefined, bundle: Buffer): void {
  const forget = (): void => void bundle.fill(0)
  if (!isWritable(pipe)) {
    forget()
    return
  }
  // A child that ends before it reads is its own failure, not ours.
  pipe.on('error', forget)
  pipe.end(bundle, () => {
    forget()
    pipe.destroy()
  })
}

/** The most that may wait for a child that does not read its renewals. */
const MOST_UNREAD_BYTES = 65_536

function keepRenewing(
  child: ChildProcess,
  pipe: ChildProcess['stdio'][number] | undefined,
  handDown: HandDown,
): void {
  if (!isWritable(pipe)) return
  const renew = (): void => {
    if (pipe.writableLength > MOST_UNREAD_BYTES) return
    try {
      pipe.write(handDown.renewal())
    } catch (error) {
      // The giver's own right is over, or its gateway is gone: the child learns it from the gateway.
      pipe.destroy(error instanceof Error ? error : undefined)
    }
  }
  const timer = setInterval(renew, Math.max(1, Math.floor(handDown.ttlMs / 2)))
  const stop = (): void => {
    clearInterval(timer)
    pipe.destroy()
  }
  pipe.on('error', stop)
  child.once('exit', stop)
  child.once('error', stop)
  // Neither may keep the parent alive: the child, as far as the caller wants it, does.
  timer.unref()
  if ('unref' in pipe && typeof pipe.unref === 'function') pipe.unref()
}

function isWritable(pipe: ChildProcess['stdio'][number] | undefined): pipe is Writable {
  return pipe !== null && pipe !== undefined && 'write' in pipe
}
