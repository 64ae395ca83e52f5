import type { RealCommandOutcome } from './real-gateway.ts'
import { runShell } from './real-shell.ts'
import type { Release } from './release.ts'

/** A trap as `holdfast openclaw doctor --json` tells it. */
export interface FoundTrap {
  readonly trap: string
  readonly command: string | null
  readonly deviceId?: string
  readonly [fact: string]: unknown
}

/** What the doctor finds on the release's HOME, for an install of ours. */
export async function examine(release: Release, stateDirectory: string): Promise<readonly FoundTrap[]> {
  const line = `holdfast openclaw doctor --state-dir '${stateDirectory}' --json`
  const { exitCode, stdout, stderr } = await runShell(release.version, release.home, line)
  const { traps } = JSON.parse(stdout) as { readonly traps: readonly FoundTrap[] }
  if (stderr !== '' || exitCode !== (traps.length === 0 ? 0 : 1))
    throw new Error(`the doctor ended with ${exitCode}: ${stderr}`)
  return traps
}

/** Run the command that the doctor gave, as it stands. */
export function follow(
  release: Release,
  trap: FoundTrap | undefined,
  input = '',
): Promise<RealCommandOutcome> {
  const command = trap?.command
  if (typeof command !== 'string') throw new Error(`no command helps against ${JSON.stringify(trap)}`)
  return runShell(release.version, release.home, command, { input })
}
