// One store with so many devices, in a process of its own: prints what it costs as one line of JSON.
import { statSync } from 'node:fs'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceId, formatPublicKey } from '@holdfast/identity'
import { openStore } from '@holdfast/pairing-store'
import pg from 'pg'
import { attempt, CEILING, newToken } from '../../pairing-store/attempts.ts'
import { quantiles } from '../quantiles.ts'

const [place = '', sizeText = '0'] = process.argv.slice(2)
const size = Number(sizeText)
const isServer = place.startsWith('postgres://')
const KNOWN = 200
const ADMISSIONS = 3_000

const store = await openStore(place)
const token = newToken()
await store.putGatewayToken(token)
await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
const attempts = Array.from({ length: KNOWN }, () => attempt({ identity: createEphemeralIdentity(), token }))
const startedMs = performance.now()
for (const each of attempts) await store.admit(each)
const registerMs = (performance.now() - startedMs) / KNOWN
await seed(size - KNOWN)

for (const each of attempts) await store.admit(each)
const admissions: number[] = []
for (let count = 0; count < ADMISSIONS; count += 1) {
  const one = attempts[Math.floor(Math.random() * KNOWN)]
  if (one === undefined) continue
  const beganMs = performance.now()
  await store.admit(one)
  admissions.push(performance.now() - beganMs)
}
// Devices that nobody asked for just now: other pages of the trees each time.
const lookups: number[] = []
const pages: number[] = []
for (let count = 0; count < 1_000; count += 1) {
  const beganMs = performance.now()
  await store.findDevice(randomId())
  lookups.push(performance.now() - beganMs)
}
for (let count = 0; count < 100; count += 1) {
  const beganMs = performance.now()
  await store.listDevices({ limit: 100, after: randomId() })
  pages.push(performance.now() - beganMs)
}
const seenStartedMs = performance.now()
for (const each of attempts) if (each.proof.verdict === 'verified') store.noteSeen(each.proof.proof.deviceId)
await store.close()
const seenMs = performance.now() - seenStartedMs
console.log(
  JSON.stringify({
    size,
    registerMs,
    admission: quantiles(admissions),
    lookup: quantiles(lookups),
    page: quantiles(pages),
    seenMs,
    residentMiB: process.memoryUsage().rss / 2 ** 20,
    diskMiB: (await bytesOnDisk()) / 2 ** 20,
  }),
)

function randomId(): DeviceId {
  return createEphemeralIdentity().id
}

async function seed(count: number): Promise<void> {
  const key = formatPublicKey(createEphemeralIdentity().publicKey)
  if (!isServer) return seedFile(count, key)
  const client = new pg.Client({ connectionString: place })
  await client.connect()
  await client.query(`insert into holdfast.device (device_id, public_key, standing, registered_by, client_id, client_mode, platform, created_at_ms)
    select encode(sha256(i::text::bytea), 'hex'), '${key}', 'trusted-local', 'local', 'gateway-client', 'backend', 'linux', 1 from generate_series(1, ${count}) as i`)
  await client.query(`insert into holdfast.device_role (device_id, role)
    select encode(sha256(i::text::bytea), 'hex'), 'operator' from generate_series(1, ${count}) as i`)
  await client.query('analyze')
  await client.end()
}

function seedFile(count: number, key: string): void {
  const database = new DatabaseSync(place)
  database.exec(`begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
    insert into device (device_id, public_key, standing, registered_by, client_id, client_mode, platform, created_at_ms)
    select lower(hex(randomblob(32))), '${key}', 'trusted-local', 'local', 'gateway-client', 'backend', 'linux', 1 from n;
    insert into device_role (device_id, role) select device_id, 'operator' from device where created_at_ms = 1; commit;
    pragma wal_checkpoint(truncate)`)
  database.close()
}

async function bytesOnDisk(): Promise<number> {
  if (!isServer) return statSync(place).size
  const client = new pg.Client({ connectionString: place })
  await client.connect()
  const { rows } = await client.query(
    `select sum(pg_total_relation_size(oid))::float8 as bytes from pg_class where relnamespace = 'holdfast'::regnamespace and relkind = 'r'`,
  )
  await client.end()
  return Number(rows[0]?.bytes)
}
