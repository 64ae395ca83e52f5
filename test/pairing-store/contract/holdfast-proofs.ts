import { randomBytes } from 'node:crypto'
import { type HoldfastCredential, joinCodeKey } from '@holdfast/handshake'
import { createEphemeralIdentity, type DeviceIdentity } from '@holdfast/identity'
import type { AdmissionAttempt } from '@holdfast/pairing-store'
import { describe, expect, test } from 'vitest'
import { proofOf, readingOf, TOKEN } from '../../handshake/holdfast-frame.ts'
import { attempt, LOCAL, POLICY } from '../attempts.ts'
import { type OpenStore, startStore, WRITER } from './open-store.ts'

/** What a `connect` by `holdfast/1` shows and proves. */
function holdfastAttempt(identity: DeviceIdentity, credential: HoldfastCredential): AdmissionAttempt {
  const scopes = ['operator.read']
  const { frame } = proofOf({ identity, credential, scopes })
  const { proof, credential: presented } = readingOf(frame)
  if (proof.verdict !== 'verified') throw new Error('a proof that does not verify')
  const { wish } = proof.proof
  return {
    frame: { ok: true, wish },
    proof,
    credential: presented,
    origin: LOCAL,
    policy: POLICY,
    name: null,
  }
}

/** What every back end promises of devices that prove themselves by `holdfast/1`. */
export function holdfastProofContract(openStore: OpenStore): void {
  const open = async () => {
    const { store, nowMs } = await startStore(openStore)
    await store.putGatewayToken(TOKEN)
    return { store, nowMs: nowMs() }
  }

  describe('H13: a device that was admitted by holdfast/1', () => {
    const byToken = { kind: 'gateway-token', token: TOKEN } as const

    test('is remembered as such from its registration on, and is let in by nothing weaker', async () => {
      const { store, nowMs } = await open()
      const identity = createEphemeralIdentity()
      expect(await store.admit(holdfastAttempt(identity, byToken))).toMatchObject({
        outcome: 'admitted',
        registered: true,
      })
      expect(await store.findDevice(identity.id)).toMatchObject({ holdfastProvenAtMs: expect.any(Number) })
      expect(await store.admit(attempt({ identity, token: TOKEN, nowMs }))).toMatchObject({
        refusal: { code: 'proof-downgraded' },
        decision: { rule: '7a' },
      })
      expect(await store.admit(holdfastAttempt(identity, { kind: 'device-key' }))).toMatchObject({
        outcome: 'admitted',
      })
    })

    test('is remembered where it was known by a weaker proof before; until then that one does', async () => {
      const { store, nowMs } = await open()
      const identity = createEphemeralIdentity()
      for (let times = 0; times < 2; times += 1) {
        expect(await store.admit(attempt({ identity, token: TOKEN, nowMs }))).toMatchObject({
          outcome: 'admitted',
        })
      }
      expect(await store.findDevice(identity.id)).toMatchObject({ holdfastProvenAtMs: null })
      const proven = await store.admit(holdfastAttempt(identity, { kind: 'device-key' }))
      expect(proven).toMatchObject({ outcome: 'admitted', registered: false })
      expect(await store.admit(attempt({ identity, token: TOKEN, nowMs }))).toMatchObject({
        refusal: { code: 'proof-downgraded' },
      })
      expect(await store.verifyAudit()).toMatchObject({ outcome: 'intact' })
    })

    test('may be registered by whoever can write the store as before', async () => {
      const { store } = await open()
      const identity = createEphemeralIdentity()
      await store.admit(holdfastAttempt(identity, byToken))
      const again = await store.registerLocal({ identity, gatewayToken: TOKEN, role: 'operator' })
      expect(again).toMatchObject({ outcome: 'known' })
    })
  })

  describe('a join code that is shown by its key', () => {
    test('H20: lets in the first key that shows it, and no other; the store never sees the code', async () => {
      const { store } = await open()
      const made = await store.createJoinCode({ ...WRITER, role: 'operator', scopes: ['operator.read'] })
      if (made.outcome !== 'made') throw new Error('no code')
      const credential = { kind: 'join-code', code: made.code } as const
      const [first, second] = [createEphemeralIdentity(), createEphemeralIdentity()]
      const presented = holdfastAttempt(first, credential).credential
      expect(presented).toEqual({ kind: 'join-key', key: joinCodeKey(made.code) })
      expect(await store.admit(holdfastAttempt(first, credential))).toMatchObject({
        outcome: 'admitted',
        registered: true,
        decision: { rule: '10a' },
      })
      expect(await store.admit(holdfastAttempt(second, credential))).toMatchObject({
        refusal: { code: 'join-code-invalid' },
      })
      // Whoever spent it may show it again.
      expect(await store.admit(holdfastAttempt(first, credential))).toMatchObject({ outcome: 'admitted' })
    })

    test('of which the store knows nothing is refused by rule 3', async () => {
      const { store } = await open()
      const code = `hfj_${randomBytes(21).toString('base64url')}`
      expect(
        await store.admit(holdfastAttempt(createEphemeralIdentity(), { kind: 'join-code', code })),
      ).toMatchObject({
        refusal: { code: 'join-code-invalid' },
        decision: { rule: '3' },
      })
    })
  })

  test('a delegation proves nothing before there is a rule for it', async () => {
    const { store } = await open()
    const chain = [Buffer.from('a link').toString('base64url')]
    expect(
      await store.admit(holdfastAttempt(createEphemeralIdentity(), { kind: 'delegation', chain })),
    ).toMatchObject({ refusal: { code: 'delegation-insufficient' } })
  })
}
