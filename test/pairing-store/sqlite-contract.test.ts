import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSqliteStore, type PairingStore } from '@holdfast/pairing-store'
import { afterAll, afterEach, describe } from 'vitest'
import { admissionContract } from './contract/admissions.ts'
import { auditContract } from './contract/audit.ts'
import { delegationContract } from './contract/delegations.ts'
import { deviceContract } from './contract/devices.ts'
import { holdfastProofContract } from './contract/holdfast-proofs.ts'
import { joiningContract } from './contract/joining.ts'
import type { OpenStore } from './contract/open-store.ts'
import { requestContract } from './contract/requests.ts'
import { searchContract } from './contract/searching.ts'
import { tokenContract } from './contract/tokens.ts'

describe('the pairing store on SQLite', () => {
  const directory = mkdtempSync(join(tmpdir(), 'holdfast-store-'))
  const opened: PairingStore[] = []
  const openStore: OpenStore = async (place, options) => {
    const store = await openSqliteStore({ path: join(directory, place, 'store.sqlite'), ...options })
    opened.push(store)
    return store
  }
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.close()
  })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  admissionContract(openStore)
  requestContract(openStore)
  deviceContract(openStore)
  searchContract(openStore)
  tokenContract(openStore)
  auditContract(openStore)
  joiningContract(openStore)
  holdfastProofContract(openStore)
  delegationContract(openStore)
})
