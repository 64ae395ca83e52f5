import { BUILT_IN_ROLES, defineRoles, signOpenClawProof, verifyOpenClawProof } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'

// The client: this identity, on the socket of this challenge, wishes to read.
const challenge = { nonce: 'made-anew-for-every-socket', ts: Date.now() }
const about = { version: '1.0.0', platform: 'linux', deviceFamily: null, displayName: null, instanceId: null }
const client = { id: 'cli', mode: 'cli', ...about }
const auth = { token: 'the-gateway-token', deviceToken: null, bootstrapToken: null, password: null }
const wish = { client, auth, role: 'operator', scopes: ['operator.read'] }
const device = signOpenClawProof({ identity: createEphemeralIdentity(), challenge, ...wish })

// The gate: is it so? `decide` then says whether the device may.
const params = { minProtocol: 3, maxProtocol: 4, ...wish, device }
const gate = { roles: defineRoles(BUILT_IN_ROLES), nonce: challenge.nonce, nowMs: Date.now() }
const { verdict } = verifyOpenClawProof(params, gate)
console.log(verdict)
