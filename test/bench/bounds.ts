import process from 'node:process'

/** The numbers that are measured: those up to the one in the variable, where it is set, and the smallest in any case. */
export function upTo(variable: string, numbers: readonly number[]): readonly number[] {
  const most = Number(process.env[variable] ?? Number.POSITIVE_INFINITY)
  if (Number.isNaN(most)) throw new TypeError(`${variable}: a number`)
  return numbers.filter((number, at) => at === 0 || number <= most)
}
