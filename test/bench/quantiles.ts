/** Of many times, in ms. */
export interface Quantiles {
  readonly p50: number
  readonly p99: number
}

export function quantiles(values: readonly number[]): Quantiles {
  const sorted = [...values].sort((left, right) => left - right)
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

/** Both, as one cell of a table. */
export function quantilesText(both: Quantiles | undefined): string {
  if (both === undefined) return '–'
  return [both.p50, both.p99].map(value => value.toFixed(value < 10 ? 2 : 0)).join(' / ')
}
