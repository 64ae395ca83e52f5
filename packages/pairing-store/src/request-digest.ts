import { createHash } from 'node:crypto'
import type { RequestRecord } from './records.ts'

/** What an approver is shown of a request, and so what the digest binds. */
export type DigestedRequest = Pick<
  RequestRecord,
  'requestId' | 'publicKey' | 'role' | 'scopes' | 'name' | 'originClass'
>

/**
 * Hex SHA-256 of a request as it was shown: a domain tag, then store id, request id, raw public key, role, the sorted
 * scopes with their number before them, name and origin class. Each field is its length in bytes (4, big-endian) and its
 * bytes, so that no two requests share an encoding; no name is told apart from an empty one.
 */
export function requestDigest(storeId: string, request: DigestedRequest): string {
  const { name, scopes } = request
  const hash = createHash('sha256').update('\0holdfast request\0')
  const fields: (string | Uint8Array)[] = [
    storeId,
    request.requestId,
    request.publicKey.toBytes(),
    request.role,
    String(scopes.length),
    ...[...scopes].sort(),
    name === null ? '0' : `1${name}`,
    request.originClass,
  ]
  for (const field of fields) {
    const bytes = Buffer.from(field)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    hash.update(length).update(bytes)
  }
  return hash.digest('hex')
}
