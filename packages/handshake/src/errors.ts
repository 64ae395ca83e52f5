/** Everything the handshake package can fail at, and the facts it hands over when it does. */
export interface HandshakeFailures {
  /** The table of roles is not one: a name is outside its alphabet, or an implication points nowhere. */
  ROLES_INVALID: { readonly reason: string }
  /** A wish that the caller wants to make cannot be said in this protocol. Nothing was signed or sent. */
  WISH_INVALID: { readonly reason: string }
  /** A delegation that the caller wants to make cannot be said, or is not the issuer's to give. Nothing was signed. */
  DELEGATION_INVALID: { readonly reason: string }
}

export type HandshakeErrorCode = keyof HandshakeFailures

/** The one error class of this package: a stable `code`, and the facts as `detail` (never a secret). */
export class HandshakeError<Code extends HandshakeErrorCode = HandshakeErrorCode> extends Error {
  override readonly name = 'HandshakeError'
  readonly code: Code
  readonly detail: HandshakeFailures[Code]

  constructor(code: Code, detail: HandshakeFailures[Code], options?: ErrorOptions) {
    super(`${code}: ${detail.reason}`, options)
    this.code = code
    this.detail = detail
  }
}

/** Is this one of ours? Survives two copies of the package in one process. */
export function isHandshakeError(value: unknown): value is HandshakeError {
  return value instanceof Error && value.name === 'HandshakeError' && 'code' in value && 'detail' in value
}
