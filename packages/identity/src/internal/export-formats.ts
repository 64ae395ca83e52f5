import { formatPublicKey, type PublicKey } from '../public-key.ts'
import { PKCS8_HEADER } from './native-ed25519.ts'

/** The forms in which a private key is exported. */
export type SecretFormat = 'pem' | 'der' | 'jwk' | 'seed'

/** The bytes of an export. They hold the secret: zero them when they are written. */
export function formatSecret(seed: Uint8Array, publicKey: PublicKey, format: SecretFormat): Buffer {
  switch (format) {
    case 'der':
      return Buffer.concat([PKCS8_HEADER, seed])
    case 'pem': {
      const body = Buffer.concat([PKCS8_HEADER, seed]).toString('base64')
      return Buffer.from(`-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`)
    }
    case 'jwk': {
      const d = Buffer.from(seed).toString('base64url')
      const jwk = { kty: 'OKP', crv: 'Ed25519', x: formatPublicKey(publicKey), d }
      return Buffer.from(`${JSON.stringify(jwk, null, 2)}\n`)
    }
    case 'seed':
      return Buffer.from(`${Buffer.from(seed).toString('base64url')}\n`)
    default:
      throw new TypeError('an export is pem, der, jwk or seed')
  }
}
