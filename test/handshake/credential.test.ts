import {
  canonicalAddress,
  DEVICE_TOKEN_PREFIX,
  gatewayTokenCommitment,
  isLoopbackAddress,
  selectCredential,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { NO_AUTH } from './connect-frame.ts'

const TOKEN = 'gateway-secret'
const DEVICE_TOKEN = `${DEVICE_TOKEN_PREFIX}secret`
const GATEWAY_TOKEN = {
  matches: (presented: string) => presented === TOKEN,
  commitment: gatewayTokenCommitment(TOKEN),
}
const select = (auth: Partial<typeof NO_AUTH>) => selectCredential({ ...NO_AUTH, ...auth }, GATEWAY_TOKEN)

describe('the one credential that counts', () => {
  const gatewayToken = { kind: 'gateway-token', commitment: gatewayTokenCommitment(TOKEN) }
  const deviceToken = { kind: 'device-token', token: DEVICE_TOKEN, via: 'deviceToken' }

  test.each([
    ['nothing', {}, { kind: 'none' }],
    ['the gateway token', { token: TOKEN }, gatewayToken],
    ['another token', { token: 'x' }, { kind: 'wrong', presented: 'gateway-token' }],
    ['a device token as such', { deviceToken: DEVICE_TOKEN }, deviceToken],
    ['a device token as token', { token: DEVICE_TOKEN }, { ...deviceToken, via: 'token' }],
    ['a device token beside the gateway token', { token: TOKEN, deviceToken: DEVICE_TOKEN }, deviceToken],
    [
      'a device token beside a wrong one (the official retry)',
      { token: 'x', deviceToken: DEVICE_TOKEN },
      deviceToken,
    ],
    ['a join code', { bootstrapToken: 'join' }, { kind: 'join-code', code: 'join' }],
    ['a join code beside the gateway token', { token: TOKEN, bootstrapToken: 'join' }, gatewayToken],
    [
      'a join code beside a wrong token',
      { token: 'x', bootstrapToken: 'j' },
      { kind: 'wrong', presented: 'gateway-token' },
    ],
    ['the gateway token as password', { password: TOKEN }, { kind: 'wrong', presented: 'gateway-token' }],
  ])('%s', (_, auth, expected) => {
    expect(select(auth)).toEqual(expected)
  })

  test('a gateway token that begins like a device token still is one', () => {
    expect(
      selectCredential({ ...NO_AUTH, token: DEVICE_TOKEN }, { ...GATEWAY_TOKEN, matches: () => true }).kind,
    ).toBe('gateway-token')
  })

  test('the commitment names a token and does not hold it', () => {
    expect(gatewayTokenCommitment(TOKEN)).toMatch(/^[0-9a-f]{64}$/)
    expect(gatewayTokenCommitment(TOKEN)).not.toBe(gatewayTokenCommitment(`${TOKEN} `))
  })
})

describe('M12: one spelling of an address', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::FFFF:7F00:0001', '127.0.0.1'],
    ['0:0:0:0:0:ffff:c0a8:107', '192.168.1.7'],
    ['[::1]', '::1'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    ['64:ff9b::7f00:1', '64:ff9b::7f00:1'],
  ])('%s is %s, and stays so', (text, canonical) => {
    expect(canonicalAddress(text)).toBe(canonical)
    expect(canonicalAddress(canonical)).toBe(canonical)
  })

  test.each([
    ...[
      '',
      'localhost',
      '127.1',
      '127.0.0.01',
      '2130706433',
      '0x7f.0.0.1',
      ' 127.0.0.1',
      '127.0.0.1 ',
      '127.0.0.1\n',
    ],
    ...[
      '[127.0.0.1]',
      '127.0.0.1%lo',
      '[::1',
      '::1]',
      '[[::1]]',
      '[]',
      '::1%',
      '127.0.0.1:80',
      '[::1]:80',
      'a%::1',
      '::g',
    ],
  ])('%j is no address', text => {
    expect(canonicalAddress(text)).toBeNull()
  })

  test('loopback is 127/8 and ::1', () => {
    for (const address of ['127.0.0.1', '127.255.255.255', '::1'])
      expect(isLoopbackAddress(address)).toBe(true)
    for (const address of [
      '128.0.0.1',
      '126.255.255.255',
      '::',
      '::2',
      '0.0.0.0',
      '::127.0.0.1',
      '',
      'localhost',
    ])
      expect(isLoopbackAddress(address)).toBe(false)
  })
})
