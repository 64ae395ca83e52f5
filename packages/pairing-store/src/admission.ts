import { type Decision, decide, isVerifiedProof, type Refusal, rootOf } from '@holdfast/handshake'
import type { DeviceId } from '@holdfast/identity'
import { isPairingStoreError } from './errors.ts'
import {
  proofOf,
  type Reader,
  readFacts,
  readReviewFacts,
  readRoom,
  type TokenFacts,
} from './internal/admission-facts.ts'
import { toRequest } from './internal/rows.ts'
import type { JoinCodeTable } from './internal/schema.ts'
import type { Transaction } from './internal/transaction.ts'
import { spendJoinCode } from './join-codes.ts'
import type { Admission, AdmissionAttempt } from './pairing-store.ts'
import type { IssuedToken, RequestRecord } from './records.ts'
import { registerDevice } from './registration.ts'
import { isFresh, openRequest, refreshRequest } from './requests.ts'
import { handOutToken, promoteToken } from './tokens.ts'

type Admitted = Extract<Decision, { readonly outcome: 'admitted' }>
type Asked = Extract<Decision, { readonly outcome: 'ask' }>
/** `mostMs`: how long it waits for other writers, where that is less than usual. */
type Mutate = <Result>(work: (tx: Transaction) => Promise<Result>, mostMs?: number) => Promise<Result>

/** How long an admission that needs no writing may be held up by the handing out of a token, or a note on its proof. */
const NOTE_WAIT_MS = 500

/**
 * Decide a `connect`: by reading alone where nothing has to be written, else in a transaction that reads the facts again
 * and asks the rules again.
 */
export async function admit(
  reader: Reader,
  attempt: AdmissionAttempt,
  mutate: Mutate,
  writesNotes = true,
): Promise<Admission> {
  assertProof(attempt)
  const { facts, tokens } = await readFacts(reader, attempt, reader.clock())
  const decision = decide(facts)
  if (decision.outcome === 'refused') return refused(decision, decision.refusal)
  if (decision.outcome === 'ask') {
    const answer = await askWithoutWriting(reader, attempt, decision)
    return answer ?? mutate(tx => admitInside(tx, attempt))
  }
  if (decision.registers || decision.rule === '10a' || tokens.shown === 'pending')
    return mutate(tx => admitInside(tx, attempt))
  const isNoteDue = isTokenDue(attempt, tokens) || isFirstHoldfastProof(attempt, decision)
  return writesNotes && isNoteDue ? admitWithNotes(reader, attempt, mutate) : admitted(attempt, decision)
}

/** A store that cannot be written now keeps nobody out who needs nothing written but a token, or how it proved itself. */
async function admitWithNotes(reader: Reader, attempt: AdmissionAttempt, mutate: Mutate): Promise<Admission> {
  try {
    return await mutate(tx => admitInside(tx, attempt), NOTE_WAIT_MS)
  } catch (error) {
    const unwritten =
      isPairingStoreError(error, 'STORE_BUSY') || isPairingStoreError(error, 'STORE_WRITE_FAILED')
    if (!unwritten) throw error
    return admit(reader, attempt, mutate, false)
  }
}

/** From its first admission by `holdfast/1` on a device is let in by nothing weaker: that has to be written down, once. */
function isFirstHoldfastProof(attempt: AdmissionAttempt, { facts }: Decision): boolean {
  if (attempt.credential.kind === 'delegation') return false
  return facts.device?.provenByHoldfast !== true && proofOf(attempt)?.family === 'holdfast/1'
}

async function noteHoldfastProof(tx: Transaction, deviceId: DeviceId): Promise<void> {
  await tx.session.db
    .updateTable('device')
    .set({ holdfast_proven_at_ms: tx.nowMs })
    .where('device_id', '=', deviceId)
    .execute()
}

function isTokenDue(attempt: AdmissionAttempt, tokens: TokenFacts): boolean {
  const shown = attempt.credential.kind === 'gateway-token' && proofOf(attempt) !== null
  return attempt.handsOutToken === true && shown && tokens.due
}

/** What the rules say of a connection that lives already. Writes nothing. */
export async function review(reader: Reader, attempt: AdmissionAttempt): Promise<Decision> {
  assertProof(attempt)
  return decide(await readReviewFacts(reader, attempt))
}

/** Where no room is left, or a device hammers on a request that is open: no lock is taken and nothing written. */
async function askWithoutWriting(
  reader: Reader,
  attempt: AdmissionAttempt,
  decision: Asked,
): Promise<Admission | null> {
  const proof = proofOf(attempt)
  if (proof === null) return null
  const nowMs = reader.clock()
  const { room, open } = await readRoom(reader, decision.facts, proof, nowMs)
  if (open !== null) return isFresh(open, nowMs) ? asked(decision, toRequest(open), null) : null
  if (room.ok) return null
  const full = decide({ ...decision.facts, room })
  return full.outcome === 'refused' ? refused(full, full.refusal) : null
}

async function admitInside(tx: Transaction, attempt: AdmissionAttempt): Promise<Admission> {
  const { facts, tokens, joinCode } = await readFacts(tx, attempt, tx.nowMs)
  const proof = proofOf(attempt)
  const { room, open } =
    proof === null ? { room: facts.room, open: null } : await readRoom(tx, facts, proof, tx.nowMs)
  const decision = decide({ ...facts, room })
  if (decision.outcome === 'refused') return refused(decision, decision.refusal)
  if (proof === null) {
    if (decision.outcome === 'ask') throw new TypeError('a request without a device')
    return admitted(attempt, decision)
  }
  if (decision.outcome === 'ask') {
    if (open !== null) return asked(decision, await refreshRequest(tx, open), null)
    const opened = await openRequest(tx, attempt, proof, decision)
    return asked(decision, opened, opened)
  }
  if (decision.rule === '10a') await spend(tx, joinCode, { proof, name: attempt.name })
  else if (decision.registers) await registerFrom(tx, attempt)
  const { deviceId, wish } = proof
  if (isFirstHoldfastProof(attempt, decision)) await noteHoldfastProof(tx, deviceId)
  if (tokens.shown === 'pending') await promoteToken(tx, deviceId, wish.role)
  const token = isTokenDue(attempt, tokens) ? await handOutToken(tx, deviceId, wish.role) : null
  return admitted(attempt, decision, token)
}

async function spend(
  tx: Transaction,
  joinCode: JoinCodeTable | null,
  joining: Parameters<typeof spendJoinCode>[2],
): Promise<void> {
  // Rule 10a admits nobody without one.
  if (joinCode === null) throw new TypeError('a join without its code')
  await spendJoinCode(tx, joinCode, joining)
}

async function registerFrom(tx: Transaction, attempt: AdmissionAttempt): Promise<void> {
  const proof = proofOf(attempt)
  const { credential, name } = attempt
  // Rule 10 registers nobody without both.
  if (proof === null || credential.kind !== 'gateway-token')
    throw new TypeError('a registration without its reasons')
  const { deviceId, publicKey, client, wish } = proof
  const generationId = credential.commitment
  await registerDevice(tx, {
    deviceId,
    publicKey,
    client,
    role: wish.role,
    name,
    generationId,
    registeredBy: 'local',
    source: attempt.origin.source,
  })
}

function assertProof(attempt: AdmissionAttempt): void {
  if (attempt.proof.verdict === 'verified' && !isVerifiedProof(attempt.proof.proof)) {
    throw new TypeError('a proof that was not verified in this process')
  }
}

function admitted(
  attempt: AdmissionAttempt,
  decision: Admitted,
  deviceToken: IssuedToken | null = null,
): Admission {
  const { credential } = attempt
  return {
    outcome: 'admitted',
    decision,
    deviceId: deviceIdOf(attempt),
    scopes: decision.scopes,
    registered: decision.registers,
    generationId: credential.kind === 'gateway-token' ? credential.commitment : null,
    deviceToken,
  }
}

/** Whose connection it is: the device that proved itself, or the one that a child's delegation stems from. */
function deviceIdOf({ credential, proof }: AdmissionAttempt): DeviceId | null {
  if (credential.kind === 'delegation') return rootOf(credential.chain)
  return proof.verdict === 'verified' ? proof.proof.deviceId : null
}

function refused(decision: Decision, refusal: Refusal): Admission {
  return { outcome: 'refused', decision, refusal, opened: null }
}

function asked(decision: Asked, request: RequestRecord, opened: RequestRecord | null): Admission {
  const { requestId, expiresAtMs } = request
  const { missing, reason } = decision
  const refusal: Refusal = { code: 'pairing-required', requestId, missing, reason, expiresAtMs }
  return { outcome: 'refused', decision, refusal, opened }
}
