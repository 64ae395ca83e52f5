import { HandshakeError } from '../errors.ts'
import { MAX_SCOPES } from '../scopes.ts'
import type { FieldReader } from './fields.ts'

/** A field that is about to be signed: its name, what a gate reads it by, and its value. */
export type SignedField = readonly [name: string, reader: FieldReader<unknown>, value: unknown]

/**
 * What a gate would not take is not signed.
 *
 * @throws {@link HandshakeError} `WISH_INVALID`: a field outside its alphabet or bounds, too many scopes, or one twice. The
 * error names the field and quotes nothing.
 */
export function refuseUnfitFields(fields: readonly SignedField[], scopes: readonly string[]): void {
  const unfit = fields.find(([, reader, value]) => reader(value) === undefined)
  if (unfit !== undefined)
    throw new HandshakeError('WISH_INVALID', { reason: `${unfit[0]} is outside its alphabet or bounds` })
  if (scopes.length > MAX_SCOPES)
    throw new HandshakeError('WISH_INVALID', { reason: `more than ${MAX_SCOPES} scopes` })
  if (new Set(scopes).size !== scopes.length)
    throw new HandshakeError('WISH_INVALID', { reason: 'a scope twice' })
}
