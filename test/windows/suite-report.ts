import { relative } from 'node:path'
import { NOT_ON_WINDOWS } from './not-on-windows.ts'

/** What vitest's JSON reporter writes, as far as it is read here. */
export interface SuiteReport {
  readonly testResults: readonly {
    readonly name: string
    readonly status: string
    readonly message: string
    readonly startTime: number
    readonly endTime: number
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

/** How the suites ended. */
export interface SuiteVerdict {
  readonly passed: number
  readonly failed: number
  /** Tests that do not hold there, each with its reason in {@link NOT_ON_WINDOWS}. */
  readonly known: number
  readonly problems: readonly string[]
  /** The files that took longest, with their seconds. */
  readonly slowest: readonly string[]
}

/** Judge a report whose paths are those of Windows. */
export function judgeReport({ testResults }: SuiteReport, top: string): SuiteVerdict {
  const counts = { passed: 0, failed: 0, known: 0 }
  const problems: string[] = []
  const suiteOf = (name: string): string => relative(top, name.replace(/^Z:/i, '').replaceAll('\\', '/'))
  for (const { name, status, message, assertionResults } of testResults) {
    const suite = suiteOf(name)
    if (status === 'failed' && assertionResults.length === 0) problems.push(`${suite}: ${message}`)
    for (const { fullName, status: end, failureMessages } of assertionResults) {
      if (end === 'passed') counts.passed += 1
      if (end !== 'failed') continue
      const isKnown = NOT_ON_WINDOWS.some(known => known.suite === suite && fullName.endsWith(known.title))
      counts[isKnown ? 'known' : 'failed'] += 1
      if (!isKnown) problems.push(`${suite} > ${fullName}\n  ${failureMessages.join('\n  ')}`)
    }
  }
  const slowest = testResults
    .map(({ name, startTime, endTime }) => ({ name, seconds: (endTime - startTime) / 1_000 }))
    .sort((one, other) => other.seconds - one.seconds)
    .slice(0, 8)
    .map(({ name, seconds }) => `${seconds.toFixed(0)} s ${suiteOf(name)}`)
  return { ...counts, problems, slowest }
}
