/** What a child of the demonstration asks for, one scope a connection. */
export const DEMO_SCOPES = [
  'operator.read',
  'operator.write',
  'operator.approvals',
  'operator.admin',
] as const

/** What the children of the demonstration are given where each has a right of its own. */
const GIVEN_SCOPES = [
  'operator.approvals',
  'operator.pairing',
  'operator.questions',
  'operator.read',
  'operator.talk',
  'operator.write',
] as const

/** The n-th set of scopes, from 1: every number up to 63 gives another one, and none is empty. */
export function scopeSet(number: number): string[] {
  return GIVEN_SCOPES.filter((_scope, bit) => (number & (1 << bit)) !== 0)
}

/** One line on a child's standard output: a connection that was admitted, or why it was not. */
export type DemoReport =
  | { readonly outcome: 'admitted'; readonly deviceId: string; readonly ms: number }
  | { readonly outcome: 'failed'; readonly deviceId: string | null; readonly reason: string }

/** The n-th order of a list: every number below 4! gives another order of four. */
export function permutation<T>(items: readonly T[], number: number): T[] {
  const left = [...items]
  const order: T[] = []
  for (let rest = number; left.length > 0; rest = Math.floor(rest / (left.length + 1))) {
    order.push(...left.splice(rest % left.length, 1))
  }
  return order
}

/** What the children reported, counted. */
export interface Tally {
  readonly deviceIds: ReadonlySet<string>
  readonly admitted: number
  /** Why connections failed, and how often. */
  readonly failures: ReadonlyMap<string, number>
  /** In ms, by nearest rank; `null` where nobody was admitted. */
  readonly p50Ms: number | null
  readonly p99Ms: number | null
}

export function tally(reports: readonly DemoReport[]): Tally {
  const deviceIds = new Set<string>()
  const times: number[] = []
  const failures = new Map<string, number>()
  for (const report of reports) {
    if (report.deviceId !== null) deviceIds.add(report.deviceId)
    if (report.outcome === 'admitted') times.push(report.ms)
    else failures.set(report.reason, (failures.get(report.reason) ?? 0) + 1)
  }
  times.sort((a, b) => a - b)
  return {
    deviceIds,
    admitted: times.length,
    failures,
    p50Ms: nearestRank(times, 0.5),
    p99Ms: nearestRank(times, 0.99),
  }
}

function nearestRank(sorted: readonly number[], share: number): number | null {
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? null
}
