export { childEnvironment } from './child-environment.ts'
export { connectToGateway } from './connect.ts'
export type { ConnectOptions, LifecycleNotice } from './connect-options.ts'
export type { DelegatedOptions } from './delegated-options.ts'
export {
  type DelegationLoss,
  type HandshakeStep,
  isSpawnerError,
  SpawnerError,
  type SpawnerErrorCode,
  type SpawnerFailures,
} from './errors.ts'
export type { ConnectionEnd, GatewayConnection } from './gateway-connection.ts'
export { type LeaveDelegationOptions, type LeftDelegation, leaveDelegation } from './leave-delegation.ts'
export type { PeerRefusal } from './peer-refusal.ts'
export {
  type DelegatedChildOptions,
  type InstallChildOptions,
  type SpawnAgentOptions,
  spawnAgent,
} from './spawn-agent.ts'
