import { createEphemeralIdentity } from '@holdfast/identity'
import { openClawClient } from '@holdfast/openclaw'
import { connectToGateway } from '@holdfast/spawner'
import { describe, expect, test } from 'vitest'
import type { Release } from '../release.ts'

/** A call that a real gateway answers to whoever holds the scope, and to nobody else. */
const CALL_OF = {
  'operator.read': 'config.get',
  'operator.pairing': 'device.pair.list',
} as const
type Tried = keyof typeof CALL_OF
const TRIED: readonly Tried[] = ['operator.read', 'operator.pairing']

/** `connectToGateway` with the protocol of these gateways, and nothing else that it would have to be told. */
export function connecting(release: Release): void {
  const { version } = release
  const target = () =>
    ({
      url: release.gateway.url,
      token: release.home.gatewayToken,
      protocol: 'openclaw',
      role: 'operator',
    }) as const

  describe("connectToGateway({ protocol: 'openclaw' })", () => {
    test.each(TRIED)('is let in as a new device, and holds %s and nothing else', async scope => {
      const identity = createEphemeralIdentity()
      const connection = await connectToGateway({ identity, ...target(), scopes: [scope] })
      expect(connection.connectionId).toMatch(/^[0-9a-f-]{36}$/)
      for (const tried of TRIED) {
        const call = connection.call(CALL_OF[tried])
        if (tried === scope) await call
        else await expect(call).rejects.toMatchObject({ code: 'CALL_FAILED' })
      }
      await connection.close()
    })

    test('the same as a device that is known, for less than it was given', async () => {
      const identity = createEphemeralIdentity()
      const admin = { scopes: ['operator.admin'], client: openClawClient(identity) }
      await (await connectToGateway({ identity, ...target(), ...admin })).close()
      const connection = await connectToGateway({ identity, ...target(), scopes: ['operator.read'] })
      await connection.call('config.get')
      await expect(connection.call('device.pair.list')).rejects.toMatchObject({ code: 'CALL_FAILED' })
      await connection.close()
    })

    test('a device that is stuck is told so, with the request', async () => {
      const identity = createEphemeralIdentity()
      const client = openClawClient(identity)
      await (await connectToGateway({ identity, ...target(), scopes: ['operator.read'], client })).close()
      const more = connectToGateway({ identity, ...target(), scopes: ['operator.pairing'], client })
      if (version === '2026.9.6') {
        await (await more).close()
        return
      }
      const code = version === '2026.2.21' ? 'NOT_PAIRED' : 'PAIRING_REQUIRED'
      await expect(more).rejects.toMatchObject({ code: 'ADMISSION_REFUSED', detail: { code } })
      await expect(more).rejects.toMatchObject({
        detail: { requestId: expect.stringMatching(/^[0-9a-f-]{36}$/) },
      })
    })

    test('a wrong token is a refusal, not a wait', async () => {
      const identity = createEphemeralIdentity()
      const wrong = connectToGateway({ identity, ...target(), token: 'wrong-token', scopes: [] })
      await expect(wrong).rejects.toMatchObject({
        code: 'ADMISSION_REFUSED',
        detail: { retryable: false },
      })
    })
  })
}
