import { openPostgresStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, afterEach, beforeAll, describe } from 'vitest'
import { admissionContract } from './contract/admissions.ts'
import { auditContract } from './contract/audit.ts'
import { delegationContract } from './contract/delegations.ts'
import { deviceContract } from './contract/devices.ts'
import { joiningContract } from './contract/joining.ts'
import type { OpenStore } from './contract/open-store.ts'
import { requestContract } from './contract/requests.ts'
import { searchContract } from './contract/searching.ts'
import { tokenContract } from './contract/tokens.ts'
import { type PostgresServer, startPostgres } from './postgres-server.ts'

describe('the pairing store on PostgreSQL', () => {
  let server: PostgresServer
  const databases = new Map<string, Promise<string>>()
  const opened: PairingStore[] = []
  const openStore: OpenStore = async (place, options) => {
    const made = databases.get(place) ?? server.borrowDatabase()
    databases.set(place, made)
    const store = await openPostgresStore({ url: await made, ...options })
    opened.push(store)
    return store
  }
  beforeAll(async () => {
    server = await startPostgres()
  })
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
    await server.clear()
    databases.clear()
  })
  afterAll(() => server.stop())

  admissionContract(openStore)
  requestContract(openStore)
  deviceContract(openStore)
  searchContract(openStore)
  tokenContract(openStore)
  auditContract(openStore)
  joiningContract(openStore)
  delegationContract(openStore)
})
