import {
  type Decision,
  defineRoles,
  gatewayTokenCommitment,
  type RoleDeclarations,
} from '@holdfast/handshake'
import { type DeviceId, type PublicKey, parseDeviceId } from '@holdfast/identity'
import { sql } from 'kysely'
import { admit, review } from '../admission.ts'
import type { AuditEntry, AuditHead, AuditQuery, AuditVerdict } from '../audit.ts'
import { assertActor } from '../authority.ts'
import type { ChangeListener } from '../changes.ts'
import { revokeDelegation, toRevokedDelegation } from '../delegations.ts'
import { narrowDevice, reinstateDevice, renameDevice, revokeDevice, revokeRegistered } from '../devices.ts'
import { isPairingStoreError } from '../errors.ts'
import {
  type Invitation,
  JOIN_CODE_TTL_MS,
  makeJoinCode,
  preregisterDevice,
  toJoinCode,
  withdrawJoinCode,
} from '../join-codes.ts'
import type {
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
} from '../pairing-store.ts'
import { PRUNED_AT_ONCE, pruneDevices } from '../pruning.ts'
import type {
  Actor,
  DeviceRecord,
  DeviceTokenRecord,
  GatewaySettings,
  JoinCodeRecord,
  RequestRecord,
  RevokedDelegation,
  TokenGeneration,
} from '../records.ts'
import { type LocalRegistration, registerLocal } from '../registration.ts'
import { approveRequest, isRequestId, rejectRequest } from '../requests.ts'
import { issueDeviceToken, type RotationOptions, revokeDeviceToken, rotateDeviceToken } from '../tokens.ts'
import type { Reader } from './admission-facts.ts'
import { appendAudit, appendAuditIfPossible, type PendingEntry } from './audit-log.ts'
import { headOf, type Reading, readAuditPage, requireHead, verifyLog } from './audit-reading.ts'
import { appendChanges, type PendingChange } from './change-log.ts'
import { readDevicePage } from './device-pages.ts'
import { cursorOf, limitOf, pageOf } from './pages.ts'
import { prepareQueries, type Queries } from './queries.ts'
import { toDevices, toDeviceToken, toGeneration, toRequest } from './rows.ts'
import type { StoreTable } from './schema.ts'
import { SeenTimes } from './seen-times.ts'
import type { Session, SqlDriver } from './sql-driver.ts'
import { readSettings, type Transaction } from './transaction.ts'

export interface SqlStoreOptions {
  readonly clock: () => number
  readonly roles: RoleDeclarations
  /** Is a change made whose entry cannot be written? */
  readonly audit: 'required' | 'when-possible'
  /** Refuses a schema that this version does not know. */
  readonly checkSchema: (found: number) => void
}

/** Whoever may write the store has written the gateway token and its settings. */
const STORE_WRITER = { kind: 'store-writer' } as const

/** A pairing store over any database that a driver speaks to. */
export class SqlStore implements PairingStore {
  readonly storeId: string
  readonly #driver: SqlDriver
  readonly #options: SqlStoreOptions
  readonly #queries: Queries
  readonly #reader: Reader
  readonly #seen: SeenTimes

  static async open(driver: SqlDriver, options: SqlStoreOptions): Promise<SqlStore> {
    defineRoles(options.roles)
    const queries = prepareQueries(driver.db)
    const [store] = await driver.all(queries.store, {})
    if (store === undefined) throw new Error('the row of the store is gone')
    return new SqlStore(driver, options, queries, store.store_id)
  }

  private constructor(driver: SqlDriver, options: SqlStoreOptions, queries: Queries, storeId: string) {
    this.#driver = driver
    this.#options = options
    this.#queries = queries
    this.#reader = { session: driver, queries, clock: options.clock }
    this.storeId = storeId
    this.#seen = new SeenTimes(seen => this.#writeSeen(seen))
  }

  async putGatewayToken(token: string): Promise<TokenGeneration> {
    if (typeof token !== 'string' || token.length < 16)
      throw new TypeError('a gateway token has 128 random bits or more')
    const generation_id = gatewayTokenCommitment(token)
    return this.#mutate(async ({ session, queries, store, nowMs, record, audit }) => {
      const fresh = { generation_id, created_at_ms: nowMs, registers: 1 }
      const [known] = await session.all(queries.generation, { generationId: generation_id })
      if (known === undefined) await session.db.insertInto('token_generation').values(fresh).execute()
      if (store.current_generation !== generation_id) {
        await session.db.updateTable('store').set({ current_generation: generation_id }).execute()
        record({ kind: 'gateway-token-changed', generationId: generation_id })
        audit({
          by: STORE_WRITER,
          act: 'gateway-token-recorded',
          subject: generation_id,
          from: store.current_generation === null ? null : { generationId: store.current_generation },
          to: { generationId: generation_id },
        })
      }
      return toGeneration(known ?? fresh, generation_id)
    })
  }

  async findGatewayToken(): Promise<TokenGeneration | null> {
    const generationId = (await this.#storeRow()).current_generation
    if (generationId === null) return null
    const [row] = await this.#driver.all(this.#queries.generation, { generationId })
    return row === undefined ? null : toGeneration(row, generationId)
  }

  async putSettings(settings: GatewaySettings): Promise<void> {
    const table = defineRoles(settings.roles)
    const scopes = new Set([...table.closures.values()].flatMap(each => [...each.keys()] as string[]))
    const stranger = settings.ceiling?.find(scope => !scopes.has(scope))
    if (stranger !== undefined) throw new TypeError(`the ceiling has a scope that no role has: ${stranger}`)
    const text = JSON.stringify({ roles: settings.roles, ceiling: settings.ceiling })
    await this.#mutate(async ({ session, store, settings: before, record, audit }) => {
      if (store.settings === text) return
      await session.db.updateTable('store').set({ settings: text }).execute()
      record({ kind: 'settings-changed' })
      const from = before.written ? { roles: before.roles, ceiling: before.ceiling } : null
      const to = { roles: settings.roles, ceiling: settings.ceiling }
      audit({ by: STORE_WRITER, act: 'settings-written', subject: 'store', from, to })
    })
  }

  async getSettings(): Promise<GatewaySettings> {
    const row = await this.#storeRow()
    const { roles, ceiling } = this.#understand(() => readSettings(row, this.#options.roles))
    return { roles, ceiling }
  }

  admit(attempt: AdmissionAttempt): Promise<Admission> {
    return admit(this.#reader, attempt, (work, mostMs) => this.#mutate(work, mostMs))
  }

  async review(attempt: AdmissionAttempt): Promise<Decision> {
    return review(this.#reader, attempt)
  }

  async registerLocal(options: LocalRegistration): Promise<RegisterAnswer> {
    return this.#mutate(tx => registerLocal(tx, options))
  }

  async preregisterDevice(
    options: { readonly by: Actor; readonly publicKey: PublicKey } & Invitation,
  ): Promise<PreregisterAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => preregisterDevice(tx, by, options))
  }

  async createJoinCode(
    options: { readonly by: Actor; readonly ttlMs?: number } & Invitation,
  ): Promise<JoinCodeAnswer> {
    const { by } = actorOf(options)
    const { ttlMs = JOIN_CODE_TTL_MS } = options
    if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > JOIN_CODE_TTL_MS) {
      throw new TypeError(`ttlMs: 1 to ${JOIN_CODE_TTL_MS}`)
    }
    return this.#mutate(tx => makeJoinCode(tx, by, { ...options, ttlMs }))
  }

  async listJoinCodes(): Promise<readonly JoinCodeRecord[]> {
    const rows = await this.#driver.all(this.#queries.joinCodes, { nowMs: this.#options.clock() })
    return rows.map(toJoinCode)
  }

  async withdrawJoinCode(codeId: string, options: { readonly by: Actor }): Promise<WithdrawAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => withdrawJoinCode(tx, codeId, by))
  }

  async listDevices(query: DeviceQuery = {}): Promise<Page<DeviceRecord>> {
    return this.#read(reading => readDevicePage(reading, query))
  }

  async findDevice(deviceId: DeviceId): Promise<DeviceRecord | null> {
    const id = parseDeviceId(deviceId)
    if (id === null) return null
    const rows = await this.#driver.all(this.#queries.deviceById, { deviceId: id })
    return this.#understand(() => toDevices(rows))[0] ?? null
  }

  async renameDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly name: string },
  ): Promise<DeviceAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => renameDevice(tx, deviceId, by, options.name))
  }

  async revokeDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role?: string; readonly keepRegistration?: boolean },
  ): Promise<DeviceAnswer> {
    const { by } = actorOf(options)
    const { role = null, keepRegistration = false } = options
    return this.#mutate(tx => revokeDevice(tx, deviceId, by, { role, keepRegistration }))
  }

  async revokeRegistered(
    generationId: string,
    options: { readonly by: Extract<Actor, { readonly kind: 'store-writer' }> },
  ): Promise<RevokeRegisteredAnswer> {
    const { by } = actorOf(options)
    if (by.kind !== 'store-writer') throw new TypeError('by: a store-writer')
    return this.#mutate(tx => revokeRegistered(tx, generationId, by))
  }

  async narrowDevice(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string; readonly scopes: readonly string[] },
  ): Promise<DeviceAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => narrowDevice(tx, deviceId, by, options))
  }

  async reinstateDevice(deviceId: DeviceId, options: { readonly by: Actor }): Promise<DeviceAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => reinstateDevice(tx, deviceId, by))
  }

  async revokeDelegation(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly subject: string },
  ): Promise<RevokeDelegationAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => revokeDelegation(tx, deviceId, by, options.subject))
  }

  async listRevokedDelegations(deviceId: DeviceId): Promise<readonly RevokedDelegation[]> {
    const id = parseDeviceId(deviceId)
    if (id === null) return []
    const rows = await this.#driver.all(this.#queries.revokedDelegations, { deviceId: id })
    return rows.map(toRevokedDelegation)
  }

  async pruneDevices(options: {
    readonly by: Extract<Actor, { readonly kind: 'store-writer' }>
    readonly notSeenSinceMs: number
    readonly onProgress?: (pruned: number) => void
  }): Promise<{ readonly pruned: number }> {
    const { by } = actorOf(options)
    const { notSeenSinceMs, onProgress = () => undefined } = options
    if (by.kind !== 'store-writer') throw new TypeError('by: a store-writer')
    if (!Number.isSafeInteger(notSeenSinceMs)) throw new TypeError('notSeenSinceMs: ms since the epoch')
    // What is known of who was seen just now goes first.
    await this.#seen.flush()
    for (let pruned = 0; ; onProgress(pruned)) {
      const { length } = await this.#mutate(tx => pruneDevices(tx, by, notSeenSinceMs))
      pruned += length
      if (length < PRUNED_AT_ONCE) return { pruned }
    }
  }

  async issueDeviceToken(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string },
  ): Promise<TokenAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => issueDeviceToken(tx, deviceId, by, options.role))
  }

  async rotateDeviceToken(
    deviceId: DeviceId,
    options: { readonly by: Actor } & Partial<RotationOptions> & Pick<RotationOptions, 'role'>,
  ): Promise<TokenAnswer> {
    const { by } = actorOf(options)
    const { role, scopes = null, delivery = 'answer' } = options
    return this.#mutate(tx => rotateDeviceToken(tx, deviceId, by, { role, scopes, delivery }))
  }

  async revokeDeviceToken(
    deviceId: DeviceId,
    options: { readonly by: Actor; readonly role: string },
  ): Promise<TokenAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => revokeDeviceToken(tx, deviceId, by, options.role))
  }

  async listDeviceTokens(deviceId: DeviceId): Promise<readonly DeviceTokenRecord[]> {
    const id = parseDeviceId(deviceId)
    if (id === null) return []
    const nowMs = this.#options.clock()
    const rows = await this.#driver.all(this.#queries.tokensOf, { deviceId: id })
    return rows.map(row => toDeviceToken(row, nowMs))
  }

  noteSeen(deviceId: DeviceId): void {
    this.#seen.note(deviceId, this.#options.clock())
  }

  async listRequests(query: PageQuery = {}): Promise<Page<RequestRecord>> {
    const limit = limitOf(query)
    const cursor = cursorOf(query.after)
    const nowMs = this.#options.clock()
    const rows = await this.#driver.all(this.#queries.requestPage, { ...cursor, nowMs, limit: limit + 1 })
    return pageOf(
      this.#understand(() => rows.map(toRequest)),
      limit,
      request => `${request.createdAtMs}.${request.requestId}`,
    )
  }

  async findRequest(requestId: string): Promise<RequestRecord | null> {
    if (!isRequestId(requestId)) return null
    const nowMs = this.#options.clock()
    const [row] = await this.#driver.all(this.#queries.requestById, { requestId, nowMs })
    return row === undefined ? null : this.#understand(() => toRequest(row))
  }

  async approveRequest(
    requestId: string,
    options: { readonly by: Actor; readonly expectedDigest: string },
  ): Promise<ApproveAnswer> {
    const { by } = actorOf(options)
    if (typeof options.expectedDigest !== 'string')
      throw new TypeError('expectedDigest: what the approver was shown')
    return this.#mutate(tx => approveRequest(tx, requestId, by, options.expectedDigest))
  }

  async rejectRequest(requestId: string, options: { readonly by: Actor }): Promise<RejectAnswer> {
    const { by } = actorOf(options)
    return this.#mutate(tx => rejectRequest(tx, requestId, by))
  }

  async listAudit(query: AuditQuery = {}): Promise<Page<AuditEntry>> {
    return this.#read(reading => readAuditPage(reading, query))
  }

  async findAuditHead(): Promise<AuditHead> {
    return headOf(await this.#storeRow())
  }

  async verifyAudit(options: { readonly expectedHead?: AuditHead } = {}): Promise<AuditVerdict> {
    const { expectedHead = null } = options
    return this.#read(async reading => verifyLog(reading, await this.#storeRow(), expectedHead))
  }

  async requireAuditHead(head: AuditHead): Promise<void> {
    return this.#read(async reading => requireHead(reading, await this.#storeRow(), head))
  }

  /** For what one kind of store alone can do: a mutation as any other. */
  transact<Result>(work: (tx: Transaction) => Promise<Result>): Promise<Result> {
    return this.#mutate(work)
  }

  subscribe(listener: ChangeListener): () => void {
    return this.#driver.subscribe(listener)
  }

  async close(): Promise<void> {
    try {
      await this.#seen.flush()
    } catch (error) {
      // A store that is lost is closed all the same: all that is lost with it here is when devices were seen last.
      if (!isPairingStoreError(error)) throw error
    } finally {
      await this.#driver.close()
    }
  }

  #understand<Result>(read: () => Result): Result {
    try {
      return read()
    } catch (error) {
      throw this.#driver.errorFor(error)
    }
  }

  async #read<Result>(read: (reading: Reading) => Promise<Result>): Promise<Result> {
    try {
      return await read({ session: this.#driver, queries: this.#queries })
    } catch (error) {
      throw this.#driver.errorFor(error)
    }
  }

  async #storeRow(): Promise<StoreTable> {
    const [store] = await this.#driver.all(this.#queries.store, {})
    if (store === undefined) throw new Error('the row of the store is gone')
    return store
  }

  async #mutate<Result>(work: (tx: Transaction) => Promise<Result>, mostMs?: number): Promise<Result> {
    const result = await this.#driver.transact(async session => {
      const changes: PendingChange[] = []
      const entries: PendingEntry[] = []
      const tx = await this.#begin(session, {
        record: change => void changes.push(change),
        audit: entry => void entries.push(entry),
      })
      const answer = await work(tx)
      await appendChanges(session, changes)
      const append = this.#options.audit === 'required' ? appendAudit : appendAuditIfPossible
      if (entries.length > 0) await append(session, entries, { nowMs: tx.nowMs, storeId: this.storeId })
      return answer
    }, mostMs)
    await this.#driver.published()
    return result
  }

  async #begin(
    session: Session,
    { record, audit }: Pick<Transaction, 'record' | 'audit'>,
  ): Promise<Transaction> {
    const queries = this.#queries
    const [version] = await session.all(queries.schemaVersion, {})
    this.#options.checkSchema(version?.version ?? 0)
    const [store] = await session.all(queries.store, {})
    if (store === undefined) throw new Error('the row of the store is gone')
    const nowMs = this.#options.clock()
    const expired = await closeExpired(session, queries, nowMs, record)
    const settings = readSettings(store, this.#options.roles)
    return { session, queries, nowMs, expired, store, settings, record, audit }
  }

  async #writeSeen(seen: ReadonlyMap<DeviceId, number>): Promise<void> {
    const rows = [...seen].map(([id, atMs]) => sql`(${id}, cast(${atMs} as bigint))`)
    // Filled up with the first, so that few texts are ever prepared.
    const filled = Array.from(
      { length: 2 ** Math.ceil(Math.log2(rows.length)) },
      (_, at) => rows[at] ?? rows[0],
    )
    await this.#driver.transact(async ({ db }) => {
      await db
        .updateTable('device')
        .from(sql<{ column1: string; column2: number }>`(values ${sql.join(filled)})`.as('seen'))
        .set(eb => ({ last_seen_at_ms: eb.ref('seen.column2') }))
        .whereRef('device.device_id', '=', 'seen.column1')
        .where(eb =>
          eb.or([
            eb('device.last_seen_at_ms', 'is', null),
            eb('device.last_seen_at_ms', '<', eb.ref('seen.column2')),
          ]),
        )
        .execute()
    })
  }
}

async function closeExpired(
  session: Session,
  queries: Queries,
  nowMs: number,
  record: (change: PendingChange) => void,
): Promise<ReadonlySet<string>> {
  const expired = await session.all(queries.expiredRequests, { nowMs })
  for (const { request_id: requestId, device_id } of expired) {
    await session.db.deleteFrom('request').where('request_id', '=', requestId).execute()
    record({ kind: 'request-closed', requestId, deviceId: device_id as DeviceId, outcome: 'expired' })
  }
  return new Set(expired.map(row => row.request_id))
}

function actorOf(options: { readonly by: Actor }): { readonly by: Actor } {
  const by: unknown = options?.by
  assertActor(by)
  return { by }
}
