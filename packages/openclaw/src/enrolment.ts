import { canonicalAddress, isLoopbackAddress } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import { withInstallLock } from '@holdfast/identity/state'
import { type GatewayConnection, isSpawnerError } from '@holdfast/spawner'
import { askForEverything, type Gateway } from './internal/attempt.ts'
import { CALL_TIMEOUT_MS, listPairing } from './internal/paired-devices.ts'

/** Which device, and where. */
export interface EnrolmentOptions {
  readonly identity: DeviceIdentity
  /** Where the OpenClaw gateway listens, `ws://` or `wss://`. */
  readonly url: string
  /** Its gateway token. */
  readonly token: string
  /** Ends it; the call rejects with the signal's reason. @defaultValue none */
  readonly signal?: AbortSignal | undefined
}

/** One thing that enrolling changed at the gateway, beside letting the device in. */
export type EnrolmentAct =
  /** The device was stuck: this request of its own was approved, by a throw-away device. */
  | { readonly act: 'approved'; readonly requestId: string }
  /** A request of this device, or of a throw-away one, that nobody needs any more and that would have held up later ones. */
  | { readonly act: 'rejected'; readonly requestId: string }
  /** The throw-away device of this enrolment, or of an earlier one that was cut off. */
  | { readonly act: 'removed'; readonly deviceId: string }

/** How enrolling went. */
export type Enrolment =
  | {
      readonly outcome: 'enrolled'
      /** The signed string that this gateway knows: for `createHostDeps`. */
      readonly proof: 'v2' | 'v3'
      /** In the order in which it was done; empty where the device was simply let in. */
      readonly did: readonly EnrolmentAct[]
    }
  | {
      readonly outcome: 'approval-needed'
      readonly requestId: string
      /** For the person who runs the gateway: to be shown, never run. */
      readonly command: string
      readonly did: readonly EnrolmentAct[]
    }

/** A device is freed at the second attempt; the third is for one whose request somebody answered in between. */
const MOST_ATTEMPTS = 3
/** A hundred children come one after the other, and a gateway of 2026.9 with a thousand devices takes a second for each. */
const LOCK_TIMEOUT_MS = 120_000

/**
 * Make this install's device known to an OpenClaw gateway, once, with everything its clients may ever ask for: every later
 * connection asks for less, and is let in by all of its versions without a prompt. Any number of processes may do so at
 * once; they come one after the other.
 *
 * A device that is stuck (its first connection asked for too little, or a request of it lies about) is freed where the
 * gateway is OpenClaw's and on this machine: another device is let in for a moment, approves the request and is removed
 * again. Requests of this device that are left over are rejected. What was done is told. Where that gateway lets nobody in
 * without a person, the other device's request stays beside this one's until it expires, or this device is enrolled.
 *
 * @throws `SpawnerError` where the gateway cannot be reached, or says no to something else: a wrong token, for one; a
 * `TimeoutError` where it has let somebody in and then answers nothing for 30 s.
 */
export async function enrollWithOpenClaw(options: EnrolmentOptions): Promise<Enrolment> {
  const { identity, url, token, signal } = options
  const gateway = { url, token, signal }
  if (identity.location === null) return enroll(gateway, identity)
  return withInstallLock(identity.location, () => enroll(gateway, identity), {
    timeoutMs: LOCK_TIMEOUT_MS,
    signal,
  })
}

async function enroll(gateway: Gateway, identity: DeviceIdentity): Promise<Enrolment> {
  const did: EnrolmentAct[] = []
  for (let attempt = 1; ; attempt++) {
    const answer = await askForEverything(gateway, identity)
    if (answer.kind === 'admitted') {
      await closing(answer.connection, connection => tidyUp(connection, identity, did))
      return { outcome: 'enrolled', proof: answer.proof, did }
    }
    const { requestId, byHoldfast } = answer
    const mayHelp = attempt < MOST_ATTEMPTS && !byHoldfast && isOnThisMachine(gateway.url)
    if (!mayHelp || !(await approveAsAnother(gateway, identity, requestId, did))) {
      const command = answer.command ?? `openclaw devices approve ${requestId}`
      return { outcome: 'approval-needed', requestId, command, did }
    }
  }
}

/** Whether there was another device that could try. */
async function approveAsAnother(
  gateway: Gateway,
  identity: DeviceIdentity,
  requestId: string,
  did: EnrolmentAct[],
): Promise<boolean> {
  const helper = createEphemeralIdentity()
  const answer = await askForEverything(gateway, helper, helperName(identity))
  if (answer.kind !== 'admitted') return false
  await closing(answer.connection, async connection => {
    try {
      await attemptCall(connection, 'device.pair.approve', { requestId }, () =>
        did.push({ act: 'approved', requestId }),
      )
    } finally {
      await removeDevice(connection, helper.id, did)
    }
  })
  return true
}

/** Nothing of this enrolment, or of one that was cut off, may stay behind: a stray request holds up the next wish. */
async function tidyUp(
  connection: GatewayConnection,
  identity: DeviceIdentity,
  did: EnrolmentAct[],
): Promise<void> {
  const { pending, paired } = await listPairing(connection)
  for (const { requestId, deviceId, displayName, role } of pending) {
    // Whether this device may be something else than an operator is not ours to answer.
    const ours = deviceId === identity.id && role === 'operator'
    if (!ours && displayName !== helperName(identity)) continue
    await attemptCall(connection, 'device.pair.reject', { requestId }, () =>
      did.push({ act: 'rejected', requestId }),
    )
  }
  for (const { deviceId, displayName } of paired) {
    if (displayName === helperName(identity)) await removeDevice(connection, deviceId, did)
  }
}

/** Names the install it helped, so that only that install ever clears it away. */
function helperName(identity: DeviceIdentity): string {
  return `holdfast helper ${identity.id.slice(0, 16)}`
}

async function removeDevice(
  connection: GatewayConnection,
  deviceId: string,
  did: EnrolmentAct[],
): Promise<void> {
  await attemptCall(connection, 'device.pair.remove', { deviceId }, () =>
    did.push({ act: 'removed', deviceId }),
  )
}

const SUPERFLUOUS = ['CALL_FAILED', 'CONNECTION_LOST', 'CONNECTION_CLOSED'] as const

/** A call that somebody else may have made superfluous: the next attempt shows what is left to do. */
async function attemptCall(
  connection: GatewayConnection,
  method: string,
  params: unknown,
  done: () => void,
): Promise<void> {
  try {
    await connection.call(method, params, { signal: AbortSignal.timeout(CALL_TIMEOUT_MS) })
    done()
  } catch (error) {
    if (!SUPERFLUOUS.some(code => isSpawnerError(error, code))) throw error
  }
}

async function closing(
  connection: GatewayConnection,
  action: (connection: GatewayConnection) => Promise<void>,
): Promise<void> {
  try {
    await action(connection)
  } finally {
    await connection.close()
  }
}

function isOnThisMachine(url: string): boolean {
  const { hostname } = new URL(url)
  const address = canonicalAddress(hostname)
  return hostname === 'localhost' || (address !== null && isLoopbackAddress(address))
}
