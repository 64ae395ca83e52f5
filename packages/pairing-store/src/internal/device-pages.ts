import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { namePrefix } from '../device-name.ts'
import type { DeviceQuery, Page } from '../pairing-store.ts'
import type { DeviceRecord } from '../records.ts'
import type { Reading } from './audit-reading.ts'
import { limitOf, pageOf } from './pages.ts'
import { toDevices } from './rows.ts'

/** Where a page ended: at a device among those by their ids, or at one among those by their names. */
export interface DeviceCursor {
  readonly deviceId: DeviceId
  /** The name, as the index has it; `null` among those by their ids. */
  readonly name: string | null
}

interface Range {
  readonly from: string
  readonly to: string
}

/** What no name has in it, and comes after all that names have. */
const PAST_NAMES = '\u{10ffff}'
const NO_IDS: Range = { from: '', to: '' }
/** An id, and a name of 40 characters of 4 bytes in base64url. */
const LONGEST_CURSOR = 64 + 1 + 214

/** A cursor that {@link readDevicePage} gave, or `null`. */
export function parseDeviceCursor(text: string): DeviceCursor | null {
  if (text.length > LONGEST_CURSOR) return null
  const [, id, name] = /^([^.]*)(?:\.([\w-]+))?$/.exec(text) ?? []
  const deviceId = parseDeviceId(id ?? '')
  if (deviceId === null) return null
  if (name === undefined) return { deviceId, name: null }
  const decoded = Buffer.from(name, 'base64url').toString()
  return namePrefix(decoded) === decoded ? { deviceId, name: decoded } : null
}

function formatCursor({ deviceId, name }: DeviceCursor): string {
  return name === null ? deviceId : `${deviceId}.${Buffer.from(name).toString('base64url')}`
}

/** One page of the devices, or of those that are searched: each is a range or two of an index, however many there are. */
export async function readDevicePage(reading: Reading, query: DeviceQuery): Promise<Page<DeviceRecord>> {
  const limit = limitOf(query)
  const { search = '' } = query
  if (typeof search !== 'string') throw new TypeError('search: a text')
  const cursor = query.after === undefined ? null : parseDeviceCursor(query.after)
  const isStrange = cursor === null ? query.after !== undefined : search === '' && cursor.name !== null
  if (isStrange) throw new TypeError('after: a cursor that a page gave')
  if (search !== '') return searchDevices(reading, { search, cursor, limit })
  const { session, queries } = reading
  const after = cursor?.deviceId ?? ''
  const rows = await session.all(queries.devicePage, { after, limit: limit + 1 })
  return pageOf(toDevices(rows), limit, device => device.deviceId)
}

async function searchDevices(
  reading: Reading,
  asked: { readonly search: string; readonly cursor: DeviceCursor | null; readonly limit: number },
): Promise<Page<DeviceRecord>> {
  const { search, cursor, limit } = asked
  const ids = idsThatBegin(search)
  const prefix = namePrefix(search)
  const found: { readonly device: DeviceRecord; readonly name: string | null }[] = []
  if (ids !== NO_IDS && (cursor === null || cursor.name === null)) {
    const next = cursor === null ? ids : { from: later(ids.from, `${cursor.deviceId}0`), to: ids.to }
    const rows = await reading.session.all(reading.queries.devicesById, { ...next, limit: limit + 1 })
    found.push(...toDevices(rows).map(device => ({ device, name: null })))
  }
  if (prefix !== null && found.length <= limit) {
    const left = limit + 1 - found.length
    const devices = await devicesByName(reading, { prefix: foldCase(prefix), ids, cursor, limit: left })
    found.push(...devices.map(device => ({ device, name: foldCase(device.name ?? '') })))
  }
  const page = pageOf(found, limit, ({ device: { deviceId }, name }) => formatCursor({ deviceId, name }))
  return { items: page.items.map(({ device }) => device), next: page.next }
}

/** Those of the name at which the last page ended, or of the very name that is searched; then those of later names. */
async function devicesByName(
  { session, queries }: Reading,
  asked: {
    readonly prefix: string
    readonly ids: Range
    readonly cursor: DeviceCursor | null
    readonly limit: number
  },
): Promise<readonly DeviceRecord[]> {
  const { prefix, ids, cursor, limit } = asked
  const isPast = cursor !== null && cursor.name !== null && cursor.name > prefix
  const at = { name: isPast ? cursor.name : prefix, idFrom: ids.from, idTo: ids.to }
  const after = cursor !== null && cursor.name === at.name ? cursor.deviceId : ''
  const same = toDevices(await session.all(queries.devicesNamed, { ...at, after, limit }))
  const left = limit - same.length
  if (left === 0) return same
  const to = `${prefix}${PAST_NAMES}`
  return [...same, ...toDevices(await session.all(queries.devicesByName, { ...at, to, limit: left }))]
}

/** The ids that begin with the text, in either case: none, unless it has only hex digits. */
function idsThatBegin(text: string): Range {
  if (!/^[0-9a-f]{1,64}$/i.test(text)) return NO_IDS
  const from = text.toLowerCase()
  return { from, to: `${from}g` }
}

function later(one: string, other: string): string {
  return one > other ? one : other
}

/** As SQL's `lower` does it here: everything beyond ASCII stays as it is. */
function foldCase(text: string): string {
  return text.replace(/[A-Z]/g, letter => letter.toLowerCase())
}
