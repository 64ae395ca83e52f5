/** A reader of one field: the value it accepts, or `undefined` where the field is not what it must be. */
export type FieldReader<T> = (value: unknown) => T | undefined

type Readers = Readonly<Record<string, FieldReader<unknown>>>
type Read<R extends Readers> = { readonly [K in keyof R]: Exclude<ReturnType<R[K]>, undefined> }

/** The closed set of an object's fields. Made once, by {@link shapeOf}: it is gone through for every frame. */
export interface Shape<R extends Readers> {
  readonly names: ReadonlySet<string>
  readonly readers: readonly (readonly [name: keyof R & string, reader: FieldReader<unknown>])[]
}

export function shapeOf<R extends Readers>(readers: R): Shape<R> {
  const entries = Object.entries(readers)
  return { names: new Set(entries.map(([name]) => name)), readers: entries }
}

/** The first thing wrong with an object: where, and whether the field is unknown or unfit. */
export interface FieldProblem {
  readonly field: string
  readonly problem: 'unknown' | 'invalid'
}

/** A JSON object: not `null`, not an array. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Read an object whose fields are a closed set: an unknown field is a problem, an absent one is read as `undefined`.
 * Only own fields count, so an own `__proto__` is an unknown field like any other.
 */
export function readObject<R extends Readers>(
  value: unknown,
  path: string,
  shape: Shape<R>,
): Read<R> | FieldProblem {
  if (!isObject(value)) return { field: path, problem: 'invalid' }
  for (const name of Object.keys(value)) {
    if (!shape.names.has(name)) return { field: `${path}.${nameable(name)}`, problem: 'unknown' }
  }
  const read: Record<string, unknown> = {}
  for (const [name, reader] of shape.readers) {
    const result = reader(Object.hasOwn(value, name) ? value[name] : undefined)
    if (result === undefined) return { field: `${path}.${name}`, problem: 'invalid' }
    read[name] = result
  }
  return read as Read<R>
}

/** A peer chose this name, and it may end in a log: it is repeated only where it looks like a name. */
function nameable(key: string): string {
  return /^\w{1,32}$/.test(key) ? key : '?'
}

/** Did {@link readObject} find something wrong? */
export function isProblem<T extends object>(value: T | FieldProblem): value is FieldProblem {
  return Object.hasOwn(value, 'problem') && Object.hasOwn(value, 'field')
}

/** A text that matches, whole. */
export function text(pattern: RegExp): FieldReader<string> {
  return value => (typeof value === 'string' && pattern.test(value) ? value : undefined)
}

/** A text of any characters up to a length in UTF-16 units. */
export function anyText(maxLength: number): FieldReader<string> {
  return value => (typeof value === 'string' && value.length <= maxLength ? value : undefined)
}

/** An integer within bounds. A float, a numeric string or an unsafe integer is none. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): FieldReader<number> {
  return value =>
    typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max
      ? value
      : undefined
}

/** A list of what another reader accepts. */
export function list<T>(reader: FieldReader<T>, maxLength: number): FieldReader<readonly T[]> {
  return value => {
    if (!Array.isArray(value) || value.length > maxLength) return undefined
    const items = value.map(reader)
    return items.includes(undefined) ? undefined : (items as T[])
  }
}

/** The same field, or `fallback` where it is absent. An explicit `null` is not absent. */
export function optional<T, F>(reader: FieldReader<T>, fallback: F): FieldReader<T | F> {
  return value => (value === undefined ? fallback : reader(value))
}

/** A field that is looked into afterwards. `null` is not one. */
export const nested: FieldReader<NonNullable<unknown>> = value => value ?? undefined

/** A field that we accept and make nothing of: neither stored nor decided on. The byte cap bounds it. */
export const ignored: FieldReader<null> = () => null
