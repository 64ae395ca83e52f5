import fc from 'fast-check'

/** How many inputs each fuzzed surface gets. */
export const INPUTS = process.env['HOLDFAST_LONG'] ? 100_000 : 2_000

/** What parsers have tripped over: control characters, half characters, separators, names of prototypes, large numbers. */
const ODD_TEXTS = [
  ...[
    '',
    ' ',
    '\0',
    '\n',
    '\r\n',
    '\u001b[2J',
    '\u009b31m',
    '\u202e',
    '\ufeff',
    '\ud800',
    '\udfff',
    '\u2028',
  ],
  ...[
    '|',
    ',',
    '"',
    '\\',
    '<script>',
    '../../x',
    '%00',
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
  ],
  ...['null', 'NaN', '1e999', '-0', '*', 'operator.admin', 'A'.repeat(64), 'a'.repeat(65), 'é'.repeat(600)],
]
const ODD_VALUES: readonly unknown[] = [
  ...[
    null,
    true,
    false,
    0,
    -1,
    0.5,
    1e308,
    Number.MAX_SAFE_INTEGER,
    2 ** 53,
    [],
    {},
    [[]],
    [null],
    { a: {} },
  ],
  ...ODD_TEXTS,
]
const ODD_BYTES = [
  0x00, 0x0a, 0x0d, 0x1b, 0x22, 0x2c, 0x3a, 0x5b, 0x5c, 0x5d, 0x7b, 0x7c, 0x7d, 0x7f, 0x80, 0xc0, 0xed, 0xf5,
  0xff,
]

interface ByteChange {
  readonly kind: 'flip' | 'set' | 'insert' | 'delete' | 'repeat' | 'cut' | 'swap'
  readonly at: number
  readonly span: number
  readonly byte: number
}

const byteChange: fc.Arbitrary<ByteChange> = fc.record({
  kind: fc.constantFrom('flip', 'set', 'insert', 'delete', 'repeat', 'cut', 'swap'),
  at: fc.nat(100_000),
  span: fc.integer({ min: 1, max: 40 }),
  byte: fc.oneof(fc.constantFrom(...ODD_BYTES), fc.nat(255)),
})

/** A function that damages bytes: a few flips, insertions, deletions and repetitions. The same input, the same damage. */
export const byteDamage: fc.Arbitrary<(bytes: Buffer) => Buffer> = fc
  .array(byteChange, { minLength: 1, maxLength: 4 })
  .map(changes => named(changes, bytes => changes.reduce(damaged, bytes)))

function damaged(bytes: Buffer, { kind, at, span, byte }: ByteChange): Buffer {
  const index = bytes.length === 0 ? 0 : at % bytes.length
  const before = bytes.subarray(0, index)
  const piece = bytes.subarray(index, index + span)
  const after = bytes.subarray(index + span)
  switch (kind) {
    case 'flip':
      return Buffer.concat([
        before,
        Buffer.from([(bytes[index] ?? 0) ^ (1 << (byte & 7))]),
        bytes.subarray(index + 1),
      ])
    case 'set':
      return Buffer.concat([before, Buffer.from([byte]), bytes.subarray(index + 1)])
    case 'insert':
      return Buffer.concat([before, Buffer.alloc(span, byte), bytes.subarray(index)])
    case 'delete':
      return Buffer.concat([before, after])
    case 'repeat':
      return Buffer.concat([before, piece, piece, after])
    case 'cut':
      return before
    case 'swap':
      return Buffer.concat([before, after.subarray(0, span), piece, after.subarray(span)])
  }
}

interface TreeChange {
  readonly kind: 'replace' | 'remove' | 'rename' | 'nest' | 'copy' | 'add' | 'text'
  readonly at: number
  readonly from: number
  readonly value: unknown
  readonly name: string
  readonly damage: (bytes: Buffer) => Buffer
}

const treeChange: fc.Arbitrary<TreeChange> = fc.record({
  kind: fc.constantFrom('replace', 'remove', 'rename', 'nest', 'copy', 'add', 'text'),
  at: fc.nat(10_000),
  from: fc.nat(10_000),
  value: fc.oneof(fc.constantFrom(...ODD_VALUES), fc.jsonValue({ maxDepth: 3 })),
  name: fc.constantFrom(
    ...ODD_TEXTS,
    'role',
    'scopes',
    'auth',
    'device',
    'token',
    'deviceToken',
    'id',
    'nonce',
  ),
  damage: byteDamage,
})

/** A function that damages a JSON value: fields replaced, removed, renamed, nested, moved, and texts changed by bytes. */
export const treeDamage: fc.Arbitrary<(value: unknown) => unknown> = fc
  .array(treeChange, { minLength: 1, maxLength: 3 })
  .map(changes => named(changes, value => changes.reduce(changed, structuredClone(value))))

type Branch = Record<string, unknown> | unknown[]

/** Every place in a value: whose member, under which key. */
function placesIn(value: unknown): { readonly holder: Branch; readonly key: string }[] {
  if (typeof value !== 'object' || value === null) return []
  const holder = value as Branch
  return Object.keys(holder).flatMap(key => [{ holder, key }, ...placesIn(memberOf(holder, key))])
}

function memberOf(holder: Branch, key: string): unknown {
  return Object.getOwnPropertyDescriptor(holder, key)?.value
}

/** An own member, whatever it is called: an assignment to `__proto__` would not make one. */
function setMember(holder: Branch, key: string, value: unknown): void {
  Object.defineProperty(holder, key, { value, writable: true, enumerable: true, configurable: true })
}

function changed(value: unknown, change: TreeChange): unknown {
  const places = placesIn(value)
  const place = places[change.at % places.length]
  const other = places[change.from % places.length]
  // A copy, since a later change may be to it, and others are given the same one.
  const inserted = structuredClone(change.value)
  if (place === undefined || other === undefined) return inserted
  const { holder, key } = place
  const member = memberOf(holder, key)
  switch (change.kind) {
    case 'replace':
      setMember(holder, key, inserted)
      break
    case 'remove':
      Reflect.deleteProperty(holder, key)
      break
    case 'rename':
      Reflect.deleteProperty(holder, key)
      setMember(holder, Array.isArray(holder) ? String(holder.length) : change.name, member)
      break
    case 'nest':
      setMember(holder, key, change.from % 2 === 0 ? [member] : { [change.name]: member })
      break
    case 'copy':
      setMember(holder, key, structuredClone(memberOf(other.holder, other.key)))
      break
    case 'add':
      setMember(holder, Array.isArray(holder) ? String(holder.length) : change.name, inserted)
      break
    case 'text':
      if (typeof member === 'string')
        setMember(holder, key, change.damage(Buffer.from(member)).toString('latin1'))
      else setMember(holder, key, JSON.stringify(member) ?? '')
  }
  return value
}

/** A failure shows what was done, not "a function". */
function named<T extends object>(changes: unknown, damage: T): T {
  return Object.assign(damage, { toString: () => JSON.stringify(changes) })
}
