// Preloaded by every Node for Windows that runs in Wine, and inherited by its children. Mends three faults of Wine 8 that
// Windows does not have, and adds nothing that Windows does not do.
import childProcess from 'node:child_process'
import fs from 'node:fs'
import { registerHooks, syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { fileURLToPath, pathToFileURL } from 'node:url'

// Wine follows links of the file system and shows them as plain files, so that Node does not look through pnpm's links, and
// a package's own dependencies are not found. The native realpath does look through them.
const known = new Map()

function throughLinks(url) {
  if (!url.startsWith('file:')) return url
  const end = url.search(/[?#]/)
  const [file, rest] = end < 0 ? [url, ''] : [url.slice(0, end), url.slice(end)]
  if (!known.has(file)) known.set(file, realUrl(file))
  return known.get(file) + rest
}

function realUrl(url) {
  try {
    return pathToFileURL(fs.realpathSync.native(fileURLToPath(url))).href
  } catch {
    return url // Not there: whoever loads it says so.
  }
}

registerHooks({
  resolve(specifier, context, next) {
    const found = next(specifier, context)
    return { ...found, url: throughLinks(found.url) }
  },
})

// Keep-alive that is set before a connection is up makes the connection fail.
const { setKeepAlive } = net.Socket.prototype
net.Socket.prototype.setKeepAlive = function (...settings) {
  if (!this.connecting) return setKeepAlive.apply(this, settings)
  this.once('connect', () => setKeepAlive.apply(this, settings))
  return this
}

// Making a link reports success and makes none. Windows says EPERM to a user without the privilege; so does this.
function noPrivilege(target, path) {
  const message = `EPERM: operation not permitted, symlink '${target}' -> '${path}'`
  const facts = { errno: -4048, code: 'EPERM', syscall: 'symlink', path: String(target), dest: String(path) }
  return Object.assign(new Error(message), facts)
}

fs.symlinkSync = (target, path) => {
  throw noPrivilege(target, path)
}
fs.symlink = (target, path, type, callback = type) => {
  process.nextTick(callback, noPrivilege(target, path))
}
fs.promises.symlink = async (target, path) => {
  throw noPrivilege(target, path)
}

// Wine has no access lists: its `icacls` does nothing and says that it went well. To start it is what takes the time of a
// test that makes an identity, so that where nothing but that is to be tested it is left out.
if (process.env.HOLDFAST_WITHOUT_ICACLS === '1') {
  const { execFileSync } = childProcess
  childProcess.execFileSync = (file, ...rest) =>
    /\\(icacls|whoami)\.exe$/i.test(file) ? '' : execFileSync(file, ...rest)
}
syncBuiltinESMExports()
