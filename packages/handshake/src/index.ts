export { type AddressSet, isPrivateRange, parseAddresses } from './address-set.ts'
export {
  ADMISSION_RULES,
  type AdmissionFacts,
  type AdmissionPolicy,
  type AdmissionRule,
  type Decision,
  type DeviceFacts,
  decide,
  type RuleId,
  type Trust,
} from './admission-rules.ts'
export {
  type ConnectReading,
  type FrameProblem,
  parseCall,
  parseConnect,
  parseServerFrame,
  readChallenge,
} from './codec.ts'
export {
  type CredentialFact,
  DEVICE_TOKEN_PREFIX,
  gatewayTokenCommitment,
  type PresentedCredential,
  selectCredential,
} from './credential.ts'
export { type DelegateOptions, delegate } from './delegate.ts'
export {
  DELEGATION_CLOCK_TOLERANCE_MS,
  type DelegationContext,
  type DelegationFlaw,
  type DelegationLink,
  type DelegationVerdict,
  idsIn,
  isVerifiedDelegation,
  MAX_DELEGATION_BYTES,
  MAX_DELEGATION_LINKS,
  MAX_DELEGATION_TTL_MS,
  rootOf,
  type VerifiedDelegation,
  verifyDelegation,
} from './delegation.ts'
export {
  HandshakeError,
  type HandshakeErrorCode,
  type HandshakeFailures,
  isHandshakeError,
} from './errors.ts'
export {
  type AskedRule,
  type Explanation,
  explain,
  explanationLines,
  explanationOf,
} from './explanation.ts'
export { type GatewayVerdict, signGatewayAnswer, verifyGatewayAnswer } from './gateway-answer.ts'
export {
  gatewayTokenMacKey,
  type HoldfastCredential,
  joinCodeKey,
  verifyTranscriptMac,
} from './holdfast-credential.ts'
export {
  type DialledAddress,
  type HoldfastProof,
  type HoldfastReading,
  type HoldfastSignOptions,
  type HoldfastVerifyContext,
  signHoldfastProof,
  verifyHoldfastProof,
} from './holdfast-proof.ts'
export type { DelegationCaveats } from './internal/delegation-link.ts'
export {
  type AuthClaim,
  type CallFrame,
  type ChallengeFrame,
  type ClientClaim,
  type ConnectParams,
  type CredentialClaim,
  type DeviceClaim,
  type EventFrame,
  type GatewayAnswer,
  type HelloOk,
  type HoldfastConnect,
  type HoldfastDeviceClaim,
  type OpenClawConnect,
  type PeerError,
  PROTOCOL_RANGE,
  type ResponseFrame,
} from './messages.ts'
export {
  type OpenClawProofFields,
  openClawProofBytes,
  SIGNED_AT_LIMIT_MS,
  type SignOptions,
  signOpenClawProof,
  type VerifyContext,
  verifyOpenClawProof,
} from './openclaw-proof.ts'
export { canonicalAddress, isLoopbackAddress } from './peer-address.ts'
export { isVerifiedProof, type ProofFamily, type ProofVerdict, type VerifiedProof } from './proof.ts'
export {
  type AnswerContext,
  answerTo,
  CUT_CLOSE_CODE,
  type DelegationGap,
  type PairingReason,
  type PeerAnswer,
  type Refusal,
  type RefusalCode,
  type RequestCap,
} from './refusals.ts'
export {
  BUILT_IN_ROLES,
  defineRoles,
  expandScopes,
  joinScopes,
  MAX_SCOPES,
  meetScopes,
  missingScopes,
  NAME_PATTERN,
  parseRole,
  parseScopes,
  parseWish,
  type Role,
  type RoleDeclarations,
  type RoleTable,
  reduceScopes,
  type Scope,
  type Wish,
} from './scopes.ts'
export {
  type CredentialKind,
  type OutcomeFields,
  outcomeBytes,
  signedBytes,
  type TranscriptFields,
  transcriptBytes,
  transcriptHash,
} from './transcript.ts'
export {
  type ConnectionOrigin,
  decideUpgrade,
  type UpgradeDecision,
  type UpgradeFacts,
  type UpgradePolicy,
} from './upgrade-rules.ts'
