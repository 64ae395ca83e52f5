import type { CredentialClaim, HoldfastConnect } from '../messages.ts'
import {
  ADDRESS_PATTERN,
  CLIENT_NONCE_PATTERN,
  LINK_PATTERN,
  MAX_LINKS,
  MAX_PORT,
  NONCE_PATTERN,
} from './alphabets.ts'
import {
  anyText,
  type FieldProblem,
  integer,
  isObject,
  isProblem,
  list,
  readObject,
  shapeOf,
  text,
} from './fields.ts'

const deviceShape = shapeOf({
  id: anyText(128),
  publicKey: anyText(128),
  signature: anyText(128),
  signedAt: integer(0),
  nonce: text(NONCE_PATTERN),
  clientNonce: text(CLIENT_NONCE_PATTERN),
  gatewayId: text(/^[0-9a-f]{64}$/),
  address: text(ADDRESS_PATTERN),
  port: integer(1, MAX_PORT),
})

const deviceKeyShape = shapeOf({ kind: text(/^device-key$/) })
const tokenShape = shapeOf({ kind: text(/^gateway-token$/), mac: anyText(64) })
const joinShape = shapeOf({ kind: text(/^join-code$/), key: anyText(64), signature: anyText(128) })
const delegationShape = shapeOf({ kind: text(/^delegation$/), chain: list(text(LINK_PATTERN), MAX_LINKS) })

/** The device and the credential of a `holdfast/1` connect: both must be there, with these fields and no other. */
export function readHoldfastClaim(params: {
  readonly auth: unknown
  readonly device: unknown
}): Pick<HoldfastConnect, 'family' | 'credential' | 'device'> | FieldProblem {
  const device = readObject(params.device, 'device', deviceShape)
  if (isProblem(device)) return device
  const credential = readCredential(params.auth)
  if (isProblem(credential)) return credential
  const { id, publicKey, signature, signedAt, nonce, clientNonce, gatewayId, address, port } = device
  const claim = {
    id,
    publicKey,
    signature,
    signedAtMs: signedAt,
    nonce,
    clientNonce,
    gatewayId,
    address,
    port,
  }
  return { family: 'holdfast/1', credential, device: claim }
}

function readCredential(auth: unknown): CredentialClaim | FieldProblem {
  switch (isObject(auth) ? auth['kind'] : undefined) {
    case 'device-key':
      return credentialIn(readObject(auth, 'auth', deviceKeyShape), { kind: 'device-key' })
    case 'gateway-token':
      return credentialIn(readObject(auth, 'auth', tokenShape), { kind: 'gateway-token' })
    case 'join-code':
      return credentialIn(readObject(auth, 'auth', joinShape), { kind: 'join-code' })
    case 'delegation':
      return credentialIn(readObject(auth, 'auth', delegationShape), { kind: 'delegation' })
    default:
      return { field: 'auth.kind', problem: 'invalid' }
  }
}

function credentialIn<Fields extends object, Kind extends object>(
  fields: Fields | FieldProblem,
  kind: Kind,
): (Omit<Fields, 'kind'> & Kind) | FieldProblem {
  return isProblem(fields) ? fields : { ...fields, ...kind }
}
