import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { resolve } from 'node:path'
import { BUILT_IN_ROLES, type RoleDeclarations } from '@holdfast/handshake'
import { type DeviceId, openIdentity } from '@holdfast/identity'
import {
  type GatewayNote,
  type LocationOptions,
  locateState,
  type StateLocation,
  shellWord,
  writeGatewayNote,
} from '@holdfast/identity/state'
import { openStore, type PairingStore, parsePostgresUrl } from '@holdfast/pairing-store'
import { auditHeadFile } from './audit-head-file.ts'
import { type GateClock, systemClock } from './clock.ts'
import { DecisionLog } from './decision-log.ts'
import { keepTreeFile } from './delegation-tree-file.ts'
import { GatewayError } from './errors.ts'
import { createGate, type Gate } from './gate.ts'
import type { GateOptions } from './gate-options.ts'
import { takeGatewayLock } from './gateway-lock.ts'
import { dialUrlOf, removeGatewayNote, withdrawGatewayNote } from './gateway-note.ts'
import { gatewayTokenFile, openGatewayToken } from './gateway-token-file.ts'
import { completeLimits } from './limits.ts'
import type { GateMethod } from './methods.ts'
import { pairingMethods } from './pairing-methods.ts'
import { boundSocketsBeforeUpgrade } from './sockets-before-upgrade.ts'

/** A whole gateway on a state directory. `app` or `directory` is required, and `trustedLocal` is for the author to decide. */
export interface StartGatewayOptions
  extends LocationOptions,
    Omit<GateOptions, 'store' | 'identity' | 'gatewayToken' | 'roles'> {
  /** An IP address, or `localhost`. @defaultValue `127.0.0.1` */
  readonly host?: string
  /** @defaultValue 0: any free port; the note in the state directory names it */
  readonly port?: number
  /**
   * The path of an SQLite store, the address of a PostgreSQL server (`postgres://…`), or an open store, which stays the
   * caller's. @defaultValue `store.sqlite` in the state directory
   */
  readonly store?: string | PairingStore
  /** @defaultValue `BUILT_IN_ROLES` */
  readonly roles?: RoleDeclarations
  /**
   * The proof family that the note tells clients of ours to speak. The gate itself takes both. @defaultValue `holdfast/1`
   */
  readonly protocol?: GatewayNote['protocol']
  /** Beside `health`, which any admitted connection may call, and {@link pairingMethods}. @defaultValue none */
  readonly methods?: Readonly<Record<string, GateMethod>>
}

/** A gateway that listens. */
export interface RunningGateway {
  /** Where clients of this machine dial it: an IP literal. */
  readonly url: string
  readonly port: number
  readonly gatewayId: DeviceId
  readonly location: StateLocation
  readonly store: PairingStore
  readonly gate: Gate
  /** {@link Gate.onConnection} */
  readonly onConnection: Gate['onConnection']
  /** {@link Gate.onEvent} */
  readonly onEvent: Gate['onEvent']
  /** Ends every connection, lets go of the store and the lock, and takes its note away. */
  close(): Promise<void>
}

const HEADERS_TIMEOUT_MS = 5_000

/**
 * A ready gateway: it makes what is missing in the state directory (its own key, the gateway token, the store), listens,
 * and leaves a note by which the install's processes find it. Of any number started on one state directory one runs.
 * What a killed gateway left behind does not hinder the next.
 *
 * @throws {@link GatewayError} `GATEWAY_RUNNING` with pid and url of the one that runs; `GATEWAY_LOCK_FAILED`,
 * `LISTEN_FAILED`, `IDENTITY_IS_DEVICE`, `GATEWAY_TOKEN_WEAK`
 * @throws the errors of `openIdentity` and `openStore`, where what they need cannot be used
 */
export async function startGateway(options: StartGatewayOptions): Promise<RunningGateway> {
  const location = locateState(options)
  const undo: (() => unknown)[] = []
  const undoAll = async () => {
    for (const step of undo.splice(0).reverse()) await step()
  }
  try {
    const { directory } = location
    const identity = await openIdentity({ directory, name: 'gateway' })
    const lock = await takeGatewayLock(location)
    undo.push(() => lock.release())
    // Whoever fails to get the lock from here on must not be sent to a gateway that is gone.
    await removeGatewayNote(location)
    await openGatewayToken(location)
    const { store = location.store } = options
    const opened = typeof store === 'string' ? await openStore(store) : store
    if (opened !== store) undo.push(() => opened.close())
    const clock = options.clock ?? systemClock
    const startedAtMs = clock.nowMs()
    const gate: Gate = createGate({
      ...options,
      store: opened,
      identity,
      gatewayToken: gatewayTokenFile(location),
      auditHead:
        options.auditHead ??
        auditHeadFile(location, {
          path: typeof store === 'string' ? placeOf(store) : null,
          storeId: opened.storeId,
        }),
      // A `null` out of a file is no table, and must not become the built-in one.
      roles: options.roles === undefined ? BUILT_IN_ROLES : options.roles,
      approveCommand: options.approveCommand ?? approveCommandFor(location, store),
      methods: {
        health: healthMethod(clock, startedAtMs),
        ...pairingMethods(opened, { connectedDevices: () => connectedDevices(gate) }),
        ...options.methods,
      },
    })
    const decisions = new DecisionLog(location, clock)
    undo.push(() => decisions.close())
    gate.onEvent(decisions.note)
    const stopTree = keepTreeFile(location, { gate, clock, pid: process.pid })
    undo.push(stopTree)
    undo.push(() => gate.close())
    await gate.ready
    const server = createHttpServer()
    gate.attach(server)
    boundSocketsBeforeUpgrade(server, completeLimits(options.limits ?? {}).socketsBeforeUpgrade)
    const listening = await listen(server, options.host ?? '127.0.0.1', options.port ?? 0)
    undo.push(() => closeServer(server, gate))
    const url = dialUrlOf(listening)
    const note: GatewayNote = {
      url,
      gatewayId: identity.id,
      pid: process.pid,
      startedAtMs,
      store: typeof store === 'string' && parsePostgresUrl(store) === null ? store : null,
      protocol: options.protocol ?? 'holdfast/1',
    }
    await writeGatewayNote(location, note)
    undo.push(() => withdrawGatewayNote(location, note))
    return {
      url,
      port: listening.port,
      gatewayId: identity.id,
      location,
      store: opened,
      gate,
      onConnection: listener => gate.onConnection(listener),
      onEvent: listener => gate.onEvent(listener),
      close: undoAll,
    }
  } catch (error) {
    await undoAll()
    throw error
  }
}

/** Works as it is, wherever it is run: it names this state directory, and the store where that lies elsewhere. */
function approveCommandFor(
  location: StateLocation,
  store: string | PairingStore,
): (requestId: string) => string {
  const elsewhere = typeof store === 'string' && placeOf(store) !== location.store
  const place = `--state-dir ${shellWord(location.directory)}`
  const options = elsewhere ? `${place} --store ${shellWord(placeOf(store))}` : place
  return requestId => `holdfast approve ${requestId} ${options}`
}

/** Where a store is, in words without a secret. */
function placeOf(store: string): string {
  return parsePostgresUrl(store)?.shown ?? resolve(store)
}

function healthMethod(clock: GateClock, startedAtMs: number): GateMethod {
  return { scopes: [], handle: () => ({ ok: true, uptimeMs: clock.nowMs() - startedAtMs }) }
}

function connectedDevices(gate: Gate): ReadonlySet<DeviceId> {
  return new Set(gate.connections().flatMap(({ deviceId }) => deviceId ?? []))
}

function createHttpServer(): Server {
  const limits = {
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: HEADERS_TIMEOUT_MS,
    // How often those are looked at: by default only each 30 s.
    connectionsCheckingInterval: 500,
  }
  return createServer(limits, (_request, response) => {
    response.writeHead(426, { 'content-type': 'application/json', connection: 'close' })
    response.end('{"error":"a WebSocket gateway"}')
  })
}

function listen(server: Server, host: string, port: number): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException) =>
      reject(
        new GatewayError('LISTEN_FAILED', { host, port, errno: error.code ?? 'unknown' }, { cause: error }),
      )
    server.once('error', onError)
    server.listen(port, host, () => {
      server.off('error', onError)
      resolve(server.address() as AddressInfo)
    })
  })
}

/** Stops listening first; a server counts as closed only when its upgraded sockets are, so the gate ends those. */
async function closeServer(server: Server, gate: Gate): Promise<void> {
  const closed = new Promise<void>(resolve => server.close(() => resolve()))
  server.closeAllConnections()
  await gate.close()
  await closed
}
