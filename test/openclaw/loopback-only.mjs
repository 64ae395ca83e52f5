// Preloaded into everything that a real release starts: a connection to anywhere but this machine fails at once, as it
// would on a machine without a network. The switches that the releases offer do not cover all that they try.
import dgram from 'node:dgram'
import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'

const isLocal = host =>
  host === undefined ||
  host === 'localhost' ||
  host === '::1' ||
  host === '0.0.0.0' ||
  /^127\./.test(String(host))

const refused = host =>
  Object.assign(new Error(`kept off the network: ${host}`), { code: 'ENETUNREACH', syscall: 'connect' })

const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function (...args) {
  const first = Array.isArray(args[0]) ? args[0][0] : args[0]
  const options = typeof first === 'object' && first !== null ? first : { port: first, host: args[1] }
  const host = typeof options.host === 'function' ? undefined : options.host
  if (options.path !== undefined || isLocal(host)) return connect.apply(this, args)
  process.stderr.write(`kept off the network: ${host}\n`)
  process.nextTick(() => this.destroy(refused(host)))
  return this
}

const lookup = dns.lookup
dns.lookup = (host, ...rest) => {
  const done = rest.at(-1)
  if (isLocal(host) || net.isIP(host) !== 0) return lookup(host, ...rest)
  process.nextTick(() => done(refused(host)))
  return {}
}
dns.promises.lookup = async (host, ...rest) => {
  if (isLocal(host) || net.isIP(host) !== 0)
    return new Promise((resolve, reject) =>
      lookup(host, rest[0] ?? {}, (error, address, family) =>
        error ? reject(error) : resolve(Array.isArray(address) ? address : { address, family }),
      ),
    )
  throw refused(host)
}

const send = dgram.Socket.prototype.send
dgram.Socket.prototype.send = function (...args) {
  const host = args.find(argument => typeof argument === 'string' && net.isIP(argument) !== 0)
  if (isLocal(host)) return send.apply(this, args)
  const done = args.at(-1)
  if (typeof done === 'function') process.nextTick(() => done(refused(host)))
  return undefined
}
syncBuiltinESMExports()
