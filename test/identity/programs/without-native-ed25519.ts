// Preloaded (`--import`): a runtime whose node:crypto knows no Ed25519.
import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'

const unsupported = (): never => {
  throw Object.assign(new Error('unsupported'), { code: 'ERR_OSSL_UNSUPPORTED' })
}
Object.assign(crypto, { createPrivateKey: unsupported, createPublicKey: unsupported, verify: unsupported })
syncBuiltinESMExports()
