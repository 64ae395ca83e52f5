// A process that does what it is told, at the moment when a file appears: one line of JSON in, one line out.
import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { openSqliteStore } from '@holdfast/pairing-store'

/** What the children race for. */
export type RaceAct =
  | { readonly act: 'approve'; readonly requestId: string; readonly digest: string }
  | { readonly act: 'reject'; readonly requestId: string }
  | { readonly act: 'revoke'; readonly deviceId: string }
  | { readonly act: 'rotate'; readonly deviceId: string }
  | { readonly act: 'put-token'; readonly token: string }
  /** What the store is for: the same on a file that is read, changed and written. */
  | { readonly act: 'answer-unguarded'; readonly file: string }

export interface RaceOrders {
  readonly barrier: string
  readonly order: RaceAct
}

const BY = { by: { kind: 'store-writer' } } as const
const path = process.argv[2] ?? ''
const store = await openSqliteStore({ path, busyTimeoutMs: 100_000 })

function tell(line: unknown): void {
  writeSync(1, `${JSON.stringify(line)}\n`)
}

async function carryOut(order: RaceAct): Promise<unknown> {
  switch (order.act) {
    case 'approve':
      return store.approveRequest(order.requestId, { ...BY, expectedDigest: order.digest })
    case 'reject':
      return store.rejectRequest(order.requestId, BY)
    case 'revoke':
      return store.revokeDevice(order.deviceId as never, BY)
    case 'rotate':
      return store.rotateDeviceToken(order.deviceId as never, { ...BY, role: 'operator' })
    case 'put-token':
      return store.putGatewayToken(order.token)
    case 'answer-unguarded': {
      if (readFileSync(order.file, 'utf8') !== 'open') return { outcome: 'unknown' }
      // It stays between the two for as long as the other may need to get there, on a machine that is busy as well.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
      writeFileSync(order.file, 'answered')
      return { outcome: 'approved' }
    }
  }
}

tell('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const { barrier, order } = JSON.parse(line) as RaceOrders
  tell('armed')
  // No pause: whoever looks first when the file is there is a matter of microseconds.
  while (!existsSync(barrier));
  tell(await carryOut(order))
}
await store.close()
