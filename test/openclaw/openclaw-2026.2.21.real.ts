import { describe } from 'vitest'
import { useRelease } from './release.ts'
import { connecting } from './suites/connecting.ts'
import { cutOff } from './suites/cut-off.ts'
import { lifetimes } from './suites/lifetimes.ts'
import { officialClient } from './suites/official-client.ts'
import { oneDevice } from './suites/one-device.ts'
import { ourGate } from './suites/our-gate.ts'
import { ownDevice } from './suites/own-device.ts'
import { thePage } from './suites/page.ts'
import { plainClientFails } from './suites/plain-client-fails.ts'
import { trapsInFiles } from './suites/traps-in-files.ts'

describe('openclaw 2026.2.21', () => {
  const release = useRelease('2026.2.21')
  plainClientFails(release)
  oneDevice(release)
  connecting(release)
  cutOff(release)
  officialClient(release)
  ourGate('2026.2.21')
  thePage(release)
  trapsInFiles(release)
  ownDevice(release)
  lifetimes(release)
})
