import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { openIdentity } from '@holdfast/identity'
import { createHostDeps } from '@holdfast/openclaw'
import { waitAtBarrier } from '../../support/at-barrier.ts'

// Store one device token. Arguments: `host-deps`, or `one-file` for the way that loses some; the state directory; the role.
const [mode = '', directory = '', role = ''] = process.argv.slice(2)
const token = `token of ${role}`
const shared = join(directory, 'tokens.json')
const identity = await openIdentity({ directory })
const host = createHostDeps({ identity, url: 'ws://127.0.0.1:18789' })
const before = mode === 'one-file' && existsSync(shared) ? JSON.parse(readFileSync(shared, 'utf8')) : {}
waitAtBarrier()
if (mode === 'one-file') writeFileSync(shared, JSON.stringify({ ...before, [role]: token }))
else host.storeDeviceAuthToken({ deviceId: identity.id, role, token, scopes: ['operator.read'] })
