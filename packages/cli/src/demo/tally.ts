import type { DemoReport } from '../commands/demo-child.ts'

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
    if ('failed' in report) {
      failures.set(report.failed, (failures.get(report.failed) ?? 0) + 1)
    } else {
      deviceIds.add(report.deviceId)
      times.push(report.ms)
    }
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
