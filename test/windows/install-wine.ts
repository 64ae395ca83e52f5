import { spawnSync } from 'node:child_process'
import process from 'node:process'

/** More than once, since a mirror may be slow or answer badly for a moment. */
const ATTEMPTS = 3

/**
 * Wine comes from Debian; the lane gets what it needs by itself where it may.
 *
 * @returns whether it had to be installed
 * @throws where there is none afterwards: nothing may pass without having run on Windows
 */
export function installWine(): boolean {
  if (isThere()) return false
  if (process.getuid?.() !== 0) throw new Error('Wine is needed: apt-get install wine wine64')
  let said = ''
  for (let attempt = 1; attempt <= ATTEMPTS && !isThere(); attempt++) {
    said = apt('update') + apt('install', '-y', '--no-install-recommends', 'wine', 'wine64')
  }
  if (!isThere()) throw new Error(`Wine could not be installed:\n${said}`)
  return true
}

function isThere(): boolean {
  return spawnSync('wine', ['--version'], { stdio: 'ignore' }).status === 0
}

/** What it said, for whoever has to find out why it did not work. */
function apt(...words: readonly string[]): string {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const { stdout, stderr } = spawnSync('apt-get', ['-q', ...words], { env, encoding: 'utf8' })
  return `${stdout}${stderr}`.slice(-4_000)
}
