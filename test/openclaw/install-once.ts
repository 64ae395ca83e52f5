import { installReal } from './install-real.ts'

/** What vitest runs before the first file of the suite. Where it throws, the run fails. */
export function setup(): Promise<void> {
  return installReal({ say: line => console.log(line) })
}
