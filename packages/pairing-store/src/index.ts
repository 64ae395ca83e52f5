export type {
  AuditAct,
  AuditEntry,
  AuditFlaw,
  AuditHead,
  AuditQuery,
  AuditState,
  AuditVerdict,
} from './audit.ts'
export { AUDIT_ACTS } from './audit.ts'
export { scopeReader } from './authority.ts'
export { type BackupOptions, backupSqliteStore, type StoreBackup } from './backup.ts'
export type { ChangeListener, RequestOutcome, StoreChange } from './changes.ts'
export { cleanName, MAX_NAME_LENGTH } from './device-name.ts'
export {
  isPairingStoreError,
  PairingStoreError,
  type PairingStoreErrorCode,
  type PairingStoreFailures,
  type SinceUnknown,
  type UnreachableReason,
  type UnreadableReason,
} from './errors.ts'
export { parseDeviceCursor } from './internal/device-pages.ts'
export { type PostgresAddress, parsePostgresUrl } from './internal/postgres-address.ts'
export { openStore } from './open-store.ts'
export type {
  Admission,
  AdmissionAttempt,
  ApproveAnswer,
  DeviceAnswer,
  DeviceQuery,
  JoinCodeAnswer,
  Page,
  PageQuery,
  PairingStore,
  PreregisterAnswer,
  RegisterAnswer,
  RejectAnswer,
  RevokeDelegationAnswer,
  RevokeRegisteredAnswer,
  TokenAnswer,
  WithdrawAnswer,
} from './pairing-store.ts'
export { openPostgresStore, type PostgresPool, type PostgresStoreOptions } from './postgres.ts'
export type {
  Actor,
  DeviceRecord,
  DeviceRole,
  DeviceTokenRecord,
  GatewaySettings,
  IssuedToken,
  JoinCodeRecord,
  RequestRecord,
  RevokedDelegation,
  TokenGeneration,
} from './records.ts'
export { type RestoreOptions, restoreSqliteStore, type StoreRestoration } from './restoration.ts'
export { openSqliteStore, type SqliteStoreOptions, type StoreOptions } from './sqlite.ts'
export { type StoreFlaw, type StoreVerdict, type VerifyOptions, verifySqliteStore } from './verification.ts'
