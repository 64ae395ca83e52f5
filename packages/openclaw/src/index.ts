export { type Enrolment, type EnrolmentAct, type EnrolmentOptions, enrollWithOpenClaw } from './enrolment.ts'
export {
  isOpenClawError,
  OpenClawError,
  type OpenClawErrorCode,
  type OpenClawFailures,
} from './errors.ts'
export { type ExportedIdentity, type ExportOptions, exportToOpenClaw } from './export-identity.ts'
export {
  createHostDeps,
  type HostDepsOptions,
  type OpenClawHostDeps,
  type TokenOwner,
} from './host-deps.ts'
export {
  type ImportedIdentity,
  type ImportOptions,
  importOpenClawIdentity,
} from './import-identity.ts'
export {
  inspectOpenClaw,
  type OpenClawInspection,
  type OpenClawInspectOptions,
  type OpenClawTrap,
} from './inspection.ts'
export { OPENCLAW_SCOPES, openClawClient } from './openclaw-client.ts'
export { withV2Proofs } from './v2-proofs.ts'
