/** Two things measured side by side, in turns, so that what else the machine does falls on both. */
export interface Comparison {
  readonly title: string
  readonly unit: 'ms' | 'µs'
  /** Medians. */
  readonly ours: number
  readonly bare: number
  /** What ours is measured against, in a few words. */
  readonly against: string
  readonly rounds: number
  /** The most that `ours / bare` may be; null where none was set. */
  readonly budget: number | null
}

/** One part of the report. */
export interface Section {
  readonly title: string
  readonly comparisons: readonly Comparison[]
  readonly remarks: readonly string[]
}

export interface Measuring {
  readonly title: string
  readonly unit: 'ms' | 'µs'
  readonly against: string
  readonly rounds: number
  readonly budget?: number
  /** How often each act does the thing once it is called: the time is divided by it. @defaultValue 1 */
  readonly repeats?: number
  readonly ours: () => unknown
  readonly bare: () => unknown
}

/** Measure both, in turns, the first round unmeasured. */
export async function compare(measuring: Measuring): Promise<Comparison> {
  const { title, unit, against, rounds, budget = null, repeats = 1, ours, bare } = measuring
  const times: Record<'ours' | 'bare', number[]> = { ours: [], bare: [] }
  const acts = [
    ['ours', ours],
    ['bare', bare],
  ] as const
  for (let round = 0; round <= rounds; round++) {
    for (const [name, act] of round % 2 === 0 ? acts : acts.toReversed()) {
      const startedMs = performance.now()
      await act()
      const tookMs = (performance.now() - startedMs) / repeats
      if (round > 0) times[name].push(unit === 'ms' ? tookMs : tookMs * 1_000)
    }
  }
  return { title, unit, against, rounds, budget, ours: median(times.ours), bare: median(times.bare) }
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((left, right) => left - right)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] ?? Number.NaN)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

/** One part of the report, as it is printed. */
export interface Table {
  readonly title: string
  readonly headings: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** Do all budgets hold? */
  readonly isKept: boolean
  readonly remarks: readonly string[]
}

function holds({ ours, bare, budget }: Comparison): boolean {
  return budget === null || ours / bare <= budget
}

/** The comparisons of a section as a table. */
export function tableOf({ title, comparisons, remarks }: Section): Table {
  return {
    title,
    headings: ['what', 'ours', 'bare', 'ratio', 'budget', 'against', 'rounds'],
    rows: comparisons.map(rowOf),
    isKept: comparisons.every(holds),
    remarks,
  }
}

function rowOf(one: Comparison): readonly string[] {
  const time = (value: number): string => `${value.toFixed(value < 10 ? 2 : 1)} ${one.unit}`
  const budget = one.budget === null ? '–' : `≤ ${one.budget}${holds(one) ? '' : ', **missed**'}`
  const ratio = (one.ours / one.bare).toFixed(2)
  return [one.title, time(one.ours), time(one.bare), ratio, budget, one.against, String(one.rounds)]
}
