import {
  type AdmissionFacts,
  type CredentialFact,
  type DeviceFacts,
  idsIn,
  type RequestCap,
  type Role,
  rootOf,
  type VerifiedProof,
  verifyDelegation,
} from '@holdfast/handshake'
import { parsePublicKey } from '@holdfast/identity'
import type { AdmissionAttempt } from '../pairing-store.ts'
import { slotOf, type TokenSlot } from './device-token.ts'
import type { FactsAndTokensRow, FactsRow } from './facts-query.ts'
import { hashJoinCode } from './join-code.ts'
import { chainKey, type Queries } from './queries.ts'
import { scopesFromText, scopesOrNull, scopesToText } from './rows.ts'
import type { JoinCodeTable, RequestTable } from './schema.ts'
import type { Session } from './sql-driver.ts'

/** Most open requests of one device in one role, of one source without a valid gateway token, and in all. */
export const REQUEST_CAPS: Readonly<Record<RequestCap, number>> = {
  'device-role': 4,
  source: 32,
  total: 1_000,
}

/** Where admissions read: outside of any transaction, or inside of one. */
export interface Reader {
  readonly session: Pick<Session, 'all'>
  readonly queries: Queries
  readonly clock: () => number
}

export function proofOf(attempt: AdmissionAttempt): VerifiedProof | null {
  return attempt.proof.verdict === 'verified' ? attempt.proof.proof : null
}

/** What is known of the device's tokens in the wished role: no rule decides on it, but what is written is. */
export interface TokenFacts {
  /** Which live one was shown, or `null`. */
  readonly shown: TokenSlot | null
  /** Is one to be handed out: is there none, or was a new one promised? */
  readonly due: boolean
}

/** Facts as they were at one moment. */
export interface ReadFacts {
  readonly facts: AdmissionFacts
  readonly tokens: TokenFacts
  /** The live join code that was shown, or `null`. */
  readonly joinCode: JoinCodeTable | null
}

/**
 * What the rules decide on, read now and in one statement. The room for requests matters only where a person would be
 * asked, and is read then: {@link readRoom}.
 */
export async function readFacts(
  { session, queries }: Pick<Reader, 'session' | 'queries'>,
  attempt: AdmissionAttempt,
  nowMs: number,
): Promise<ReadFacts> {
  const { credential } = attempt
  const [row] = await readRows({ session, queries }, attempt)
  if (row === undefined) throw new Error('the row of the store is gone')
  // Most show neither, and wait for nothing more.
  const joinCode = isJoining(credential) ? await findJoinCode({ session, queries }, credential, nowMs) : null
  const delegation =
    credential.kind === 'delegation'
      ? await readDelegation({ session, queries }, credential, { attempt, row, nowMs })
      : null
  const tokens = hasTokens(row) ? tokensIn(row, credential, nowMs) : NO_TOKENS
  return {
    facts: {
      frame: attempt.frame,
      proof: attempt.proof,
      origin: attempt.origin,
      policy: attempt.policy,
      credential: delegation ?? credentialFact(attempt, row, { shown: tokens.shown, joinCode }),
      device: deviceFacts(row),
      room: { ok: true },
    },
    tokens,
    joinCode,
  }
}

function readRows(
  { session, queries }: Pick<Reader, 'session' | 'queries'>,
  attempt: AdmissionAttempt,
): Promise<readonly (FactsRow | FactsAndTokensRow)[]> {
  const proof = proofOf(attempt)
  const { credential } = attempt
  const deviceId = credential.kind === 'delegation' ? rootOf(credential.chain) : (proof?.deviceId ?? null)
  const generationId = credential.kind === 'gateway-token' ? credential.commitment : null
  const key = { generationId, deviceId, role: (proof ?? attempt.frame).wish.role }
  const tokenDeviceId = deviceId ?? attempt.claimedDeviceId ?? null
  const tokensMatter = credential.kind === 'device-token' || attempt.handsOutToken === true
  return tokensMatter
    ? session.all(queries.factsAndTokens, { ...key, tokenDeviceId })
    : session.all(queries.facts, key)
}

function hasTokens(row: FactsRow | FactsAndTokensRow): row is FactsAndTokensRow {
  return 'current_hash' in row
}

const NO_TOKENS: TokenFacts = { shown: null, due: false }

function tokensIn(
  row: FactsAndTokensRow,
  credential: AdmissionAttempt['credential'],
  nowMs: number,
): TokenFacts {
  const shown = credential.kind === 'device-token' ? slotOf(credential.token, row, nowMs) : null
  return { shown, due: row.current_hash === null || row.promised_at_ms !== null }
}

/** The links of a child, under the key of their device as the store has it now. */
async function readDelegation(
  { session, queries }: Pick<Reader, 'session' | 'queries'>,
  credential: Shown<'delegation'>,
  known: { readonly attempt: AdmissionAttempt; readonly row: FactsRow; readonly nowMs: number },
): Promise<Extract<CredentialFact, { readonly kind: 'delegation' }>> {
  const { attempt, row, nowMs } = known
  const proof = proofOf(attempt)
  // Without a proof rules 4 to 7 refuse it, before anybody asks what the links are worth.
  if (proof === null)
    return { kind: 'delegation', delegation: { verdict: 'flawed', flaw: 'holder-mismatch', link: 0 } }
  const root = row.public_key === null ? null : parsePublicKey(row.public_key)
  const ids = root === null ? [] : idsIn(credential.chain)
  const revoked =
    ids.length === 0
      ? []
      : await session.all(queries.revokedAmong, chainKey(rootOf(credential.chain) ?? '', ids))
  const delegation = verifyDelegation(credential.chain, {
    root,
    holder: proof.publicKey,
    gatewayId: credential.gatewayId,
    nowMs,
    roles: attempt.policy.roles,
    revoked: new Set(revoked.map(({ subject }) => subject)),
  })
  return { kind: 'delegation', delegation }
}

type Shown<Kind> = Extract<AdmissionAttempt['credential'], { readonly kind: Kind }>

function isJoining(
  credential: AdmissionAttempt['credential'],
): credential is Shown<'join-code' | 'join-key'> {
  return credential.kind === 'join-code' || credential.kind === 'join-key'
}

async function findJoinCode(
  { session, queries }: Pick<Reader, 'session' | 'queries'>,
  credential: Shown<'join-code' | 'join-key'>,
  nowMs: number,
): Promise<JoinCodeTable | null> {
  if (credential.kind === 'join-key') {
    return (await session.all(queries.joinKey, { key: credential.key, nowMs }))[0] ?? null
  }
  const codeHash = hashJoinCode(credential.code)
  // Looked up by its hash: whoever guesses learns nothing from how long that takes.
  return codeHash === null ? null : ((await session.all(queries.joinCode, { codeHash, nowMs }))[0] ?? null)
}

function credentialFact(
  attempt: AdmissionAttempt,
  row: FactsRow,
  { shown, joinCode }: { readonly shown: TokenSlot | null; readonly joinCode: JoinCodeTable | null },
): CredentialFact {
  const { credential } = attempt
  switch (credential.kind) {
    case 'gateway-token':
      return {
        kind: 'gateway-token',
        registers: isCurrent(credential.commitment, row) && row.registers === 1,
      }
    case 'device-token':
      if (shown !== null) return { kind: 'device-token' }
      // The peer that sent it as a gateway token is told that it is not one.
      return {
        kind: 'wrong',
        presented: credential.via === 'deviceToken' ? 'device-token' : 'gateway-token',
      }
    case 'join-code':
    case 'join-key': {
      const spender = joinCode?.spent_by ?? null
      const isItsOwn = spender === null || spender === proofOf(attempt)?.deviceId
      if (joinCode === null || !isItsOwn) return { kind: 'wrong', presented: 'join-code' }
      const { role, scopes } = joinCode
      const spent = spender !== null
      return { kind: 'join-code', role: role as Role, scopes: scopesFromText(scopes), spent }
    }
    case 'delegation':
      throw new TypeError('a delegation is looked into with the facts of its device')
    default:
      return credential
  }
}

/** Is this the generation of the gateway token as it is now? */
export function isCurrent(commitment: string, row: Pick<FactsRow, 'current_generation'>): boolean {
  return row.current_generation === commitment
}

function deviceFacts(row: FactsRow): DeviceFacts | null {
  if (row.standing === null) return null
  return {
    trust: row.revoked_at_ms === null ? row.standing : 'revoked',
    roleRevoked: row.role_revoked_at_ms !== null,
    grant: scopesOrNull(row.grant_scopes),
    narrowedTo: scopesOrNull(row.narrowed_to),
    provenByHoldfast: row.holdfast_proven_at_ms !== null,
  }
}

/** Is there room for this wish's request? `open`: it is there already. */
export async function readRoom(
  { session, queries }: Pick<Reader, 'session' | 'queries'>,
  facts: AdmissionFacts,
  proof: VerifiedProof,
  nowMs: number,
): Promise<{ readonly room: AdmissionFacts['room']; readonly open: RequestTable | null }> {
  const { deviceId, wish } = proof
  const key = { deviceId, role: wish.role, nowMs }
  const open = await session.all(queries.openRequest, { ...key, scopes: scopesToText(wish.scopes) })
  if (open[0] !== undefined) return { room: { ok: true }, open: open[0] }
  const [row] = await session.all(queries.room, { ...key, source: facts.origin.source })
  const of = { 'device-role': row?.of_device_role, source: row?.of_source, total: row?.total }
  const full = (cap: RequestCap) => Number(of[cap] ?? 0) >= REQUEST_CAPS[cap]
  const counted: readonly RequestCap[] =
    facts.credential.kind === 'gateway-token' ? ['device-role', 'total'] : ['device-role', 'source', 'total']
  const cap = counted.find(full)
  return { room: cap === undefined ? { ok: true } : { ok: false, cap }, open: null }
}

const NO_CREDENTIAL = { kind: 'none' } as const

/**
 * The same for a connection that lives already: its credential was good for the handshake and is not asked for again. A
 * peer without a device lives by the gateway token alone, which must be the current one still.
 */
export async function readReviewFacts(reader: Reader, attempt: AdmissionAttempt): Promise<AdmissionFacts> {
  const nowMs = reader.clock()
  if (proofOf(attempt) !== null) {
    // A child lives by its delegation alone, which is asked for again; what a device showed beside its key is not.
    const credential = attempt.credential.kind === 'delegation' ? attempt.credential : NO_CREDENTIAL
    return (await readFacts(reader, { ...attempt, credential }, nowMs)).facts
  }
  const { credential } = attempt
  const [store] = await reader.session.all(reader.queries.store, {})
  const current =
    store !== undefined && credential.kind === 'gateway-token' && isCurrent(credential.commitment, store)
  const { facts } = await readFacts(reader, attempt, nowMs)
  return current ? facts : { ...facts, credential: { kind: 'wrong', presented: 'gateway-token' } }
}
