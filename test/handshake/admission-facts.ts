import type {
  AdmissionFacts,
  ConnectionOrigin,
  DeviceFacts,
  ProofVerdict,
  Scope,
  Wish,
} from '@holdfast/handshake'
import { parseWish } from '@holdfast/handshake'
import { createEphemeralIdentity } from '@holdfast/identity'
import { connectFrame, paramsOf, ROLES, verdictOn } from './connect-frame.ts'

const identity = createEphemeralIdentity()

/** The scopes of the operator by their last names. */
export function scopes(...names: string[]): readonly Scope[] {
  return names.map(name => `operator.${name}` as Scope)
}

/** A wish and its proof, both real. */
export function proven(
  names: readonly string[],
  role = 'operator',
): { readonly wish: Wish; readonly proof: ProofVerdict } {
  const texts = scopes(...names)
  const wish = parseWish(ROLES, role, texts)
  if (wish === null) throw new Error('a wish that the table does not know')
  return { wish, proof: verdictOn(paramsOf(connectFrame({ identity, role, scopes: texts }))) }
}

export const LOCAL: ConnectionOrigin = { source: '127.0.0.1', directLocal: true, originClass: 'none' }
export const REMOTE: ConnectionOrigin = { source: '203.0.113.9', directLocal: false, originClass: 'none' }

export function device(facts: Partial<DeviceFacts> = {}): DeviceFacts {
  return {
    trust: 'trusted-local',
    roleRevoked: false,
    grant: null,
    narrowedTo: null,
    provenByHoldfast: false,
    ...facts,
  }
}

/** A subagent as it should be: on this machine, with the gateway token, known, wishing read and write under a ceiling. */
export function factsOf(
  changes: Partial<AdmissionFacts> & { readonly names?: readonly string[]; readonly role?: string } = {},
): AdmissionFacts {
  const { names = ['read', 'write'], role, ...facts } = changes
  const { wish, proof } = proven(names, role)
  return {
    frame: { ok: true, wish },
    proof,
    credential: { kind: 'gateway-token', registers: true },
    origin: LOCAL,
    policy: {
      roles: ROLES,
      ceiling: scopes('write', 'approvals'),
      deviceless: null,
      allowOpenClawProof: false,
    },
    device: device(),
    room: { ok: true },
    ...facts,
  }
}
