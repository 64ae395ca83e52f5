/** The right to sign with one private key, which it never hands out. */
export interface Signer {
  readonly implementation: 'native' | 'portable'
  /** The raw public key, 32 bytes. */
  readonly publicKey: Uint8Array
  /** 64 bytes, RFC 8032 §5.1.6. */
  sign(message: Uint8Array): Uint8Array
}
