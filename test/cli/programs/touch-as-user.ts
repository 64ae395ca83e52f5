// Tries to read, write and list these files and directories as another user, and prints what it could.
import { closeSync, openSync, readdirSync } from 'node:fs'
import { becomeUser } from './become-user.ts'

const [asUid, ...paths] = process.argv.slice(2)
becomeUser(asUid)
const could: string[] = []
for (const path of paths) {
  attempt(`read ${path}`, () => closeSync(openSync(path, 'r')))
  attempt(`write ${path}`, () => closeSync(openSync(path, 'r+')))
  attempt(`list ${path}`, () => readdirSync(path))
}
console.log(JSON.stringify(could))

function attempt(what: string, act: () => unknown): void {
  try {
    act()
    could.push(what)
  } catch (error) {
    if (!(error instanceof Error && 'syscall' in error)) throw error
  }
}
