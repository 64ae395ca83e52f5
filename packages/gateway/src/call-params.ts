import { CallError } from './connection.ts'

/** The parameters of a call: own fields only, and none but those that the method knows. */
export type Params = Readonly<Record<string, unknown>>

/**
 * Read the parameters of a call whose fields are a closed set. Absent ones, and no parameters at all, are `undefined`.
 *
 * @throws {@link CallError} `INVALID_REQUEST`
 */
export function readParams(value: unknown, known: readonly string[]): Params {
  if (value === null || value === undefined) return {}
  if (typeof value !== 'object' || Array.isArray(value)) throw invalidParams()
  const params = new Map<string, unknown>(Object.entries(value))
  if ([...params.keys()].some(key => !known.includes(key))) throw invalidParams()
  // By the method's names and not the peer's, so that no key of theirs names anything of ours.
  return Object.fromEntries(known.filter(key => params.has(key)).map(key => [key, params.get(key)]))
}

function invalidParams(): CallError {
  return new CallError('INVALID_REQUEST', 'invalid params', { details: { code: 'PARAMS_INVALID' } })
}

const MOST_CHARACTERS = 256
const MOST_ITEMS = 64

/** A text of a bearable length. */
export function isText(value: unknown): value is string {
  return typeof value === 'string' && value.length <= MOST_CHARACTERS
}

/** A list of such texts, of a bearable length itself. */
export function isTextList(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length <= MOST_ITEMS && value.every(isText)
}
