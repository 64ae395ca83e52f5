import type { DeviceIdentity } from '@holdfast/identity'
import { openClawClient } from '@holdfast/openclaw'
import { connectToGateway } from '@holdfast/spawner'

/** What the children of one install ask for, each by a letter: read, write, approvals, admin. */
const WISHES: Readonly<Record<string, readonly string[]>> = {
  r: ['operator.read'],
  w: ['operator.read', 'operator.write'],
  p: ['operator.approvals'],
  a: ['operator.admin'],
}

/** A gateway. */
export interface Target {
  readonly url: string
  readonly token: string
}

/** Connect once for each letter, one after the other, and count how often it was let in: each time, or this throws. */
export async function connectForEach(
  order: string,
  identity: DeviceIdentity,
  target: Target,
): Promise<number> {
  let admitted = 0
  for (const letter of order) {
    const connection = await connectToGateway({
      identity,
      url: target.url,
      token: target.token,
      protocol: 'openclaw',
      role: 'operator',
      scopes: WISHES[letter] ?? [],
      client: openClawClient(identity),
      reconnect: false,
    })
    admitted += 1
    await connection.close()
  }
  return admitted
}
