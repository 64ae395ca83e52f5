import type { Page, PageQuery } from '../pairing-store.ts'
import { isRequestId } from '../requests.ts'

const DEFAULT_PAGE = 100
const LARGEST_PAGE = 1_000

/** @throws TypeError outside of 1 to 1,000 */
export function limitOf({ limit = DEFAULT_PAGE }: PageQuery): number {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > LARGEST_PAGE) {
    throw new TypeError(`limit: 1 to ${LARGEST_PAGE}`)
  }
  return limit
}

/** Requests are listed from the oldest: their cursor is a time and, within it, an id. */
export function cursorOf(after: string | undefined): { readonly afterMs: number; readonly afterId: string } {
  if (after === undefined) return { afterMs: -1, afterId: '' }
  const [, ms, id] = /^(\d{1,16})\.(.*)$/.exec(after) ?? []
  if (ms === undefined || !isRequestId(id)) throw new TypeError('after: a cursor that a page gave')
  return { afterMs: Number(ms), afterId: id }
}

/** A page out of what was found, where one more than `limit` was asked for. */
export function pageOf<T>(found: readonly T[], limit: number, cursor: (item: T) => string): Page<T> {
  const items = found.slice(0, limit)
  const last = items.at(-1)
  return { items, next: found.length > limit && last !== undefined ? cursor(last) : null }
}
