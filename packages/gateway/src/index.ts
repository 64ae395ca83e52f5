export { keepAuditHead, readAuditHead } from './audit-head-file.ts'
export type { AuditHeadKeeper } from './audit-watch.ts'
export type { GateClock } from './clock.ts'
export {
  type CallContext,
  CallError,
  type CallHandler,
  type Connection,
  type ConnectionDelegation,
} from './connection.ts'
export { type DecisionEntry, decisionLogPaths } from './decision-log.ts'
export type { DelegationNode, DelegationTree } from './delegation-tree.ts'
export { type DelegationSnapshot, readDelegations } from './delegation-tree-file.ts'
export { GatewayError, type GatewayErrorCode, type GatewayFailures, isGatewayError } from './errors.ts'
export { createGate, type Gate } from './gate.ts'
export type { GateEvent, GateListener, GateMessage } from './gate-events.ts'
export type { GateOptions } from './gate-options.ts'
export { type GatewayLock, takeGatewayLock } from './gateway-lock.ts'
export type { GatewayTokenSource } from './gateway-token.ts'
export { DEFAULT_LIMITS, type GateLimits } from './limits.ts'
export type { GateMethod } from './methods.ts'
export { type PairingMethodsOptions, pairingMethods } from './pairing-methods.ts'
export { exportGateway, importGateway, type ProvisionedGateway } from './provisioning.ts'
export { type RunningGateway, type StartGatewayOptions, startGateway } from './start-gateway.ts'
export type { GatePeer } from './upgrade.ts'
