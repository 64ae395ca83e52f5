import type { AdmissionPolicy } from '@holdfast/handshake'
import type { DeviceIdentity } from '@holdfast/identity'
import type { PairingStore } from '@holdfast/pairing-store'
import type { Budgets } from './budgets.ts'
import type { GateClock } from './clock.ts'
import type { ConnectHandshake } from './connect.ts'
import type { DelegationWatch } from './delegation-watch.ts'
import type { EventOutlet } from './gate-events.ts'
import type { CurrentToken } from './gateway-token.ts'
import type { HelloWriter } from './hello.ts'
import type { KnownKeys } from './internal/known-keys.ts'
import type { GateLimits } from './limits.ts'
import type { ConnectionHost, LiveConnection } from './live-connection.ts'
import type { LiveSessions } from './live-sessions.ts'
import type { OwnAddresses } from './own-addresses.ts'
import type { UnfinishedMessages } from './unfinished-messages.ts'
import type { WrongTokenDelays } from './wrong-token-delay.ts'

/** What a gate lends to each handshake. */
export interface Desk {
  readonly store: PairingStore
  /** The gateway's own. */
  readonly identity: DeviceIdentity
  readonly addresses: OwnAddresses
  readonly keys: KnownKeys
  readonly policy: AdmissionPolicy
  readonly limits: GateLimits
  readonly clock: GateClock
  readonly token: CurrentToken
  readonly budgets: Budgets<ConnectHandshake>
  readonly waiting: Budgets<ConnectHandshake>
  readonly delays: WrongTokenDelays
  readonly sessions: LiveSessions
  readonly delegations: DelegationWatch
  readonly unfinished: UnfinishedMessages
  readonly events: EventOutlet
  readonly host: ConnectionHost
  readonly approveCommand: (requestId: string) => string
  /** Resolves when the gate may admit at all; `null`: it may. */
  readonly preparing: () => Promise<void> | null
  readonly hello: HelloWriter
  readonly startedAtMs: number
  /** An admitted connection, before its `hello-ok` is sent. */
  readonly introduce: (connection: LiveConnection) => void
}
