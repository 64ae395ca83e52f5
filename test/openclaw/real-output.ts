import type { RealCommandOutcome } from './real-gateway.ts'

/** The JSON that a release's command line printed: some of them say more around it. Fails where it ended badly. */
export function jsonOf({ exitCode, stdout, stderr }: RealCommandOutcome): unknown {
  const start = stdout.indexOf('{')
  if (exitCode !== 0 || start < 0) throw new Error(`it ended with ${exitCode}: ${stdout}${stderr}`)
  return JSON.parse(stdout.slice(start))
}
