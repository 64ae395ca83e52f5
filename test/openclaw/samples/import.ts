import { importOpenClawIdentity } from '@holdfast/openclaw'

// Before openIdentity ever ran for this app: the same device as the OpenClaw of this user, whatever its version.
const imported = await importOpenClawIdentity({ app: 'my-app' })
console.log(imported === null ? 'no OpenClaw here' : `${imported.outcome}: ${imported.identity.id}`)
