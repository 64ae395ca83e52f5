import { installReal } from './install-real.ts'

/** What vitest runs before the first file of the suite. */
export function setup(): Promise<void> {
  return installReal(line => console.log(line))
}
