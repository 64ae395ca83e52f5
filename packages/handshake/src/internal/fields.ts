/** A reader of one field: the value it accepts, or `undefined` where the field is not what it must be. */
export type FieldReader<T> = (value: unknown) => T | undefined

type Readers = Readonly<Record<string, FieldReader<unknown>>>
type Read<R extends Readers> = { readonly [K in keyof R]: Exclude<ReturnType<R[K]>, undefined> }

/** The closed set of an object's fields. Made once, by {@link shapeOf}: it is gone through for every frame. */
export interface Shape<R extends Readers> {
  readonly names: readonly (keyof R & string)[]
  readonly readers: ReadonlyMap<string, FieldReader<unknown>>
  /** What each field is read as where it is absent. */
  readonly absent: Readonly<Record<string, unknown>>
}

export function shapeOf<R extends Readers>(readers: R): Shape<R> {
  const entries = Object.entries(readers)
  return {
    names: Object.keys(readers),
    readers: new Map(entries),
    absent: Object.fromEntries(entries.map(([name, reader]) => [name, reader(undefined)])),
  }
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
  const read: Record<string, unknown> = { ...shape.absent }
  let stranger: string | null = null
  for (const name of Object.keys(value)) {
    const reader = shape.readers.get(name)
    if (reader === undefined) stranger ??= name
    else read[name] = reader(value[name])
  }
  if (stranger !== null) return { field: `${path}.${nameable(stranger)}`, problem: 'unknown' }
  for (const name of shape.names) {
    if (read[name] === undefined) return { field: `${path}.${name}`, problem: 'invalid' }
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
