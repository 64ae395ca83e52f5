import { describe } from 'vitest'
import { useRelease } from './release.ts'
import { connecting } from './suites/connecting.ts'
import { lifetimes } from './suites/lifetimes.ts'
import { officialClient } from './suites/official-client.ts'
import { oneDevice } from './suites/one-device.ts'
import { ourGate } from './suites/our-gate.ts'
import { ownDevice } from './suites/own-device.ts'
import { thePage } from './suites/page.ts'
import { plainClientFails } from './suites/plain-client-fails.ts'
import { trapsInDatabase } from './suites/traps-in-database.ts'

describe('openclaw 2026.9.6', () => {
  const release = useRelease('2026.9.6')
  plainClientFails(release)
  oneDevice(release)
  connecting(release)
  officialClient(release)
  ourGate('2026.9.6')
  thePage(release)
  ownDevice(release)
  lifetimes(release)
  trapsInDatabase(release)
})
