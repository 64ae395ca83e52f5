// One store with so many devices, in a process of its own. Prints what it took to make, as one line of JSON; each line on
// its standard input names what is measured next, and is answered with the times of one round, in ms. Ends with its input.
import { createHash } from 'node:crypto'
import { statSync } from 'node:fs'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { BUILT_IN_ROLES } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceId, formatPublicKey } from '@holdfast/identity'
import { openStore, type PairingStore } from '@holdfast/pairing-store'
import pg from 'pg'
import { attempt, CEILING, newToken } from '../../pairing-store/attempts.ts'

const [place = '', sizeText = '0'] = process.argv.slice(2)
const size = Number(sizeText)
const isServer = place.startsWith('postgres://')
const KNOWN = 200
const seeded = Math.max(0, size - KNOWN)

const store = await openStore(place)
const token = newToken()
await store.putGatewayToken(token)
await store.putSettings({ roles: BUILT_IN_ROLES, ceiling: CEILING })
const attempts = Array.from({ length: KNOWN }, () => attempt({ identity: createEphemeralIdentity(), token }))
const registrations: number[] = []
for (const each of attempts) registrations.push(await timed(() => store.admit(each)))
await seed(seeded)
for (const each of attempts) await store.admit(each)
console.log(JSON.stringify({ registrations, diskBytes: await bytesOnDisk() }))

const ROUNDS: Readonly<
  Record<string, { readonly count: number; readonly act: (on: PairingStore) => unknown }>
> = {
  admission: { count: 500, act: on => on.admit(oneOf(attempts)) },
  device: { count: 200, act: async on => mustFind([await on.findDevice(anyDevice().id)]) },
  page: { count: 40, act: on => on.listDevices({ after: anyDevice().id }) },
  'search by id': { count: 40, act: on => search(on, anyDevice().id.slice(0, 8)) },
  'search by name': { count: 40, act: on => search(on, anyDevice().name) },
  'search that finds all': { count: 40, act: on => search(on, 'HOST') },
  'last seen': { count: 1, act: writeSeen },
}

for await (const line of createInterface({ input: process.stdin })) {
  const round = ROUNDS[line]
  if (round === undefined) throw new TypeError(`nothing is measured as ${line}`)
  const times: number[] = []
  for (let turn = 0; turn < round.count; turn += 1) times.push(await timed(() => round.act(store)))
  console.log(JSON.stringify(times))
}
await store.close()

async function timed(act: () => unknown): Promise<number> {
  const startedMs = performance.now()
  await act()
  return performance.now() - startedMs
}

function oneOf<Item>(items: readonly Item[]): Item {
  const item = items[Math.floor(Math.random() * items.length)]
  if (item === undefined) throw new TypeError('none of none')
  return item
}

/** Any of those that were seeded: on other pages of the trees each time. */
function anyDevice(): { readonly id: DeviceId; readonly name: string } {
  const at = 1 + Math.floor(Math.random() * seeded)
  return { id: idOf(at) as DeviceId, name: `host-${at}` }
}

function idOf(at: number): string {
  return createHash('sha256').update(String(at)).digest('hex')
}

async function search(on: PairingStore, text: string): Promise<void> {
  mustFind((await on.listDevices({ search: text })).items)
}

function mustFind(found: readonly unknown[]): void {
  if (found.length === 0 || found[0] === null) throw new Error('a device that is there was not found')
}

/** 500 devices, in a store of its own that is closed: then they are written. */
async function writeSeen(): Promise<void> {
  const own = await openStore(place)
  for (let count = 0; count < 499; count += 1) own.noteSeen(anyDevice().id)
  await own.close()
}

async function seed(count: number): Promise<void> {
  const key = formatPublicKey(createEphemeralIdentity().publicKey)
  if (!isServer) return seedFile(count, key)
  const client = new pg.Client({ connectionString: place })
  await client.connect()
  await client.query(`insert into holdfast.device (device_id, public_key, name, standing, registered_by, client_id, client_mode, platform, created_at_ms)
    select encode(sha256(i::text::bytea), 'hex'), '${key}', 'host-' || i, 'trusted-local', 'local', 'gateway-client', 'backend', 'linux', 1 from generate_series(1, ${count}) as i`)
  await client.query(`insert into holdfast.device_role (device_id, role)
    select encode(sha256(i::text::bytea), 'hex'), 'operator' from generate_series(1, ${count}) as i`)
  await client.query('vacuum analyze')
  await client.end()
}

function seedFile(count: number, key: string): void {
  const database = new DatabaseSync(place)
  database.function('id_of', { deterministic: true }, at => idOf(Number(at)))
  database.exec(`begin; with recursive n(i) as (select 1 union all select i + 1 from n where i < ${count})
    insert into device (device_id, public_key, name, standing, registered_by, client_id, client_mode, platform, created_at_ms)
    select id_of(i), '${key}', 'host-' || i, 'trusted-local', 'local', 'gateway-client', 'backend', 'linux', 1 from n;
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
