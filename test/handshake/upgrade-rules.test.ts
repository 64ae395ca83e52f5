import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  decideUpgrade,
  explain,
  isPrivateRange,
  parseAddresses,
  type UpgradeFacts,
  type UpgradePolicy,
} from '@holdfast/handshake'
import { describe, expect, test } from 'vitest'
import { WebSocket as WsClient } from 'ws'

const policy: UpgradePolicy = {
  allowedHosts: new Set(['gate.example']),
  allowedOrigins: new Set(['http://localhost:3000']),
  trustedProxies: new Set(),
  localPeers: new Set(),
}

function ask(
  headers: Readonly<Record<string, string>>,
  more: {
    readonly peer?: string
    readonly proxies?: readonly string[]
    readonly localPeers?: readonly string[]
  } = {},
) {
  const facts: UpgradeFacts = {
    peerAddress: more.peer ?? '127.0.0.1',
    headers: new Map(Object.entries({ host: '127.0.0.1:18789', ...headers })),
    policy: { ...policy, trustedProxies: new Set(more.proxies), localPeers: new Set(more.localPeers) },
  }
  return decideUpgrade(facts)
}

describe('M1: the Host', () => {
  test.each([
    ...[
      '127.0.0.1',
      '127.0.0.1:18789',
      '192.168.1.7:1',
      '[::1]',
      '[::1]:18789',
      '[2001:DB8::1]:80',
      '[::ffff:7f00:1]',
    ],
    ...['localhost', 'LOCALHOST:18789', 'gate.example', 'Gate.Example:443'],
  ])('%s is one of ours', host => {
    expect(ask({ host }).outcome).toBe('proceed')
  })

  test.each([
    ...[
      'evil.example',
      'localhost.evil.example',
      'evil.localhost',
      'localhost.',
      'gate.example.',
      '127.0.0.1.nip.io',
    ],
    ...['user@127.0.0.1', '127.0.0.1@evil.example', '127.0.0.1:80@evil.example', 'evil.example:80:127.0.0.1'],
    ...[
      '127.0.0.1, evil.example',
      'evil.example, 127.0.0.1',
      '127.0.0.1 evil.example',
      ' 127.0.0.1',
      '127.0.0.1\t',
    ],
    ...[
      '127.0.0.1%evil.example',
      '127.0.0.1%25lo',
      '[::1%lo]',
      '[fe80::1%25eth0]',
      '::1',
      '::1:80',
      '[::1',
      '::1]',
      '[]',
    ],
    ...[
      '[127.0.0.1]',
      '[localhost]',
      '127.1',
      '0x7f.0.0.1',
      '0177.0.0.1',
      '2130706433',
      '127.0.0.1:',
      '127.0.0.1:x',
    ],
    ...['127.0.0.1:123456', '', 'http://127.0.0.1', '127.0.0.1/x', 'localhost\n', 'ⓛocalhost'],
  ])('%j is not', host => {
    expect(ask({ host })).toMatchObject({
      outcome: 'refused',
      rule: '1',
      status: 403,
      refusal: { code: 'host-rejected' },
    })
  })

  test('none at all is not', () => {
    const decision = decideUpgrade({ peerAddress: '127.0.0.1', headers: new Map(), policy })
    expect(decision).toMatchObject({ refusal: { code: 'host-rejected' } })
  })
})

describe('C10 F60: the Origin of a browser page', () => {
  test.each([
    ...[
      'https://evil.example',
      'null',
      'chrome-extension://abc',
      'http://localhost:9999',
      'http://localhost',
      '',
    ],
    ...[
      'https://localhost:3000',
      'http://LOCALHOST:3000',
      'http://localhost:3000/',
      'http://localhost:3000.evil.example',
    ],
    'http://localhost:3000, https://evil.example',
  ])('%j is refused', origin => {
    expect(ask({ origin })).toMatchObject({ status: 403, refusal: { code: 'origin-rejected' } })
  })

  test('one on the list goes on, and is never direct local', () => {
    expect(ask({ origin: 'http://localhost:3000' })).toEqual({
      outcome: 'proceed',
      rule: '1',
      origin: { source: '127.0.0.1', directLocal: false, originClass: 'browser' },
    })
  })

  test('null is refused even where an author lists it', () => {
    const facts = {
      peerAddress: '127.0.0.1',
      headers: new Map([
        ['host', 'localhost'],
        ['origin', 'null'],
      ]),
    }
    const open = { ...policy, allowedOrigins: new Set(['null']) }
    expect(decideUpgrade({ ...facts, policy: open })).toMatchObject({ refusal: { code: 'origin-rejected' } })
  })
})

describe('C11 F66: headers of something in between', () => {
  test.each([
    ...[
      'forwarded',
      'via',
      'x-forwarded',
      'x-forwarded-for',
      'x-forwarded-host',
      'x-forwarded-proto',
      'x-forwarded-server',
    ],
    ...[
      'x-real-ip',
      'x-client-ip',
      'x-cluster-client-ip',
      'true-client-ip',
      'cf-connecting-ip',
      'cf-connecting-ipv6',
    ],
    ...[
      'fastly-client-ip',
      'fly-client-ip',
      'x-envoy-external-address',
      'x-original-forwarded-for',
      'tailscale-user-login',
    ],
  ])('%s without a configured proxy is refused, whatever it says', header => {
    for (const value of ['127.0.0.1', '203.0.113.9', '']) {
      expect(ask({ [header]: value })).toMatchObject({
        status: 403,
        refusal: { code: 'proxy-unattributed', header },
      })
    }
  })

  test.each([
    'cf-ray',
    'x-request-id',
    'cookie',
    'authorization',
    'sec-fetch-site',
    'traceparent',
    'x-anything',
    'dnt',
    'x-via',
    'via-x',
    'not-x-forwarded-for',
  ])('%s goes on, but is not direct', header => {
    expect(ask({ [header]: 'x' })).toMatchObject({ outcome: 'proceed', origin: { directLocal: false } })
  })

  test('from a proxy that is not on the list they are refused, also beside one that is', () => {
    const more = { peer: '10.0.0.6', proxies: ['10.0.0.5'] }
    expect(ask({ 'x-forwarded-for': '203.0.113.9' }, more)).toMatchObject({
      refusal: { code: 'proxy-unattributed' },
    })
  })
})

describe('C13 F66: the chain of a configured proxy', () => {
  const proxies = ['127.0.0.1', '10.0.0.5']

  test('C12: a proxy that forgets to say for whom it speaks makes nobody local; one that is not listed cannot be seen', () => {
    expect(ask({}, { peer: '127.0.0.1', proxies })).toMatchObject({
      outcome: 'proceed',
      origin: { source: '127.0.0.1', directLocal: false },
    })
    expect(ask({}, { peer: '127.0.0.1' })).toMatchObject({ origin: { directLocal: true } })
  })

  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['127.0.0.1, 203.0.113.9', '203.0.113.9'],
    ['203.0.113.9, 127.0.0.1', '203.0.113.9'],
    ['198.51.100.1, 203.0.113.9, 10.0.0.5', '203.0.113.9'],
    ['198.51.100.1,203.0.113.9,10.0.0.5,127.0.0.1', '203.0.113.9'],
    ['2001:DB8::1', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
  ])('%s names %s, which is not local', (chain, source) => {
    expect(ask({ 'x-forwarded-for': chain }, { proxies })).toEqual({
      outcome: 'proceed',
      rule: '1',
      origin: { source, directLocal: false, originClass: 'none' },
    })
  })

  test.each([
    ...['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1', '203.0.113.9, 127.0.0.2', '10.0.0.5'],
    ...['[2001:db8::1', '2001:db8::1]', 'x[2001:db8::1]', '[2001:db8::1]x', '[203.0.113.9]'],
    ...['', 'unknown', '203.0.113.9, ', '203.0.113.9:1234', '203.0.113.9, x', 'localhost'],
  ])('%j names nobody', chain => {
    expect(ask({ 'x-forwarded-for': chain }, { proxies })).toMatchObject({
      refusal: { code: 'proxy-unattributed' },
    })
  })

  test('a header that is not the one we read names nobody either', () => {
    expect(ask({ forwarded: 'for=203.0.113.9' }, { proxies })).toMatchObject({
      refusal: { code: 'proxy-unattributed' },
    })
  })
})

describe('F83: peers that are configured as local', () => {
  const localPeers = ['172.18.0.5', '10.0.0.5']

  test('are direct local, as loopback is, and nobody else is', () => {
    for (const peer of ['172.18.0.5', '::ffff:172.18.0.5']) {
      expect(ask({}, { peer, localPeers })).toMatchObject({
        origin: { source: '172.18.0.5', directLocal: true },
      })
    }
    expect(ask({}, { peer: '172.18.0.6', localPeers })).toMatchObject({ origin: { directLocal: false } })
    expect(ask({}, { peer: '172.18.0.5' })).toMatchObject({ origin: { directLocal: false } })
  })

  test('are not with the mark of something in between, nor where they are proxies, nor at the end of a chain', () => {
    const peer = '172.18.0.5'
    expect(ask({ 'x-anything': 'x' }, { peer, localPeers })).toMatchObject({ origin: { directLocal: false } })
    expect(ask({ origin: 'http://localhost:3000' }, { peer, localPeers })).toMatchObject({
      origin: { directLocal: false },
    })
    expect(ask({ via: '1.1 x' }, { peer, localPeers })).toMatchObject({
      refusal: { code: 'proxy-unattributed' },
    })
    expect(ask({}, { peer, localPeers, proxies: [peer] })).toMatchObject({ origin: { directLocal: false } })
    expect(ask({ 'x-forwarded-for': peer }, { localPeers, proxies: ['127.0.0.1'] })).toMatchObject({
      origin: { source: peer, directLocal: false },
    })
  })
})

describe('addresses of a configuration', () => {
  test.each([
    ['172.18.0.0/16', ['172.18.0.0', '172.18.255.255'], ['172.17.255.255', '172.19.0.0', 'fd00::1', '']],
    ['10.1.2.128/25', ['10.1.2.128', '10.1.2.255'], ['10.1.2.127', '10.1.3.0']],
    ['10.1.2.3/32', ['10.1.2.3'], ['10.1.2.2', '10.1.2.4']],
    ['10.1.2.3', ['10.1.2.3'], ['10.1.2.4']],
    ['::ffff:10.1.2.3', ['10.1.2.3'], ['::ffff:a01:203']],
    ['FD00:0::/8', ['fd00::', 'fdff:ffff::1'], ['fc00::1', 'fe00::1', '172.18.0.1']],
    ['fd00:1:2:3::/64', ['fd00:1:2:3::9'], ['fd00:1:2:4::9']],
    ['::1:0:0:0:0/64', ['::1:0:0:0:5'], ['::2:0:0:0:5', '::5']],
    ['fd00::5', ['fd00::5'], ['fd00::6']],
  ])('%s names %j and not %j', (text, inside, outside) => {
    const addresses = parseAddresses(text)
    expect(inside.filter(address => !addresses?.has(address))).toEqual([])
    expect(outside.filter(address => addresses?.has(address))).toEqual([])
    expect(addresses).not.toBeNull()
  })

  test.each([
    ...[
      '',
      '/8',
      '10.0.0.0/',
      '10.0.0.0/8/8',
      '10.0.0.0/33',
      'fd00::/129',
      '10.0.0.0/08',
      '10.0.0.0/+8',
      '10.0.0.0/8 ',
    ],
    ...[
      '0.0.0.0/0',
      '::/0',
      '10.0.0.1/8',
      '172.18.0.5/16',
      'fd00::1/64',
      '10.1.2.129/25',
      'fd80::/8',
      '::1:0:0:0:5/64',
    ],
    ...[
      'localhost',
      'proxy/8',
      '010.0.0.0/8',
      '10.0.0/8',
      '::ffff:10.0.0.0/104',
      '::ffff:10.0.0.0/8',
      ' 10.0.0.1',
      '*',
    ],
  ])('%j names none', text => {
    expect(parseAddresses(text)).toBeNull()
  })

  test.each([
    ...[
      '10.0.0.0/8',
      '172.16.0.0/12',
      '192.168.0.0/16',
      '100.64.0.0/10',
      '169.254.0.0/16',
      'fc00::/7',
      'fe80::/10',
    ],
    ...['10.9.8.7', '172.31.255.255', '192.168.1.0/24', 'fd12::/48', 'fe80::1', '::ffff:192.168.1.1'],
  ])('%s is of a private range', text => {
    expect(isPrivateRange(text)).toBe(true)
  })

  test.each([
    ...[
      '10.0.0.0/7',
      '172.16.0.0/11',
      '192.168.0.0/15',
      '100.64.0.0/9',
      '169.254.0.0/15',
      'fc00::/6',
      'fe80::/9',
    ],
    ...['172.32.0.0', '203.0.113.9', '127.0.0.1', '::1', '2001:db8::1', '0.0.0.0/0', 'x', '', '192.169.0.1'],
  ])('%j is not', text => {
    expect(isPrivateRange(text)).toBe(false)
  })
})

describe('M12: where a peer comes from', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1', true],
    ['127.8.9.10', '127.8.9.10', true],
    ['::1', '::1', true],
    ['::ffff:127.0.0.1', '127.0.0.1', true],
    ['::FFFF:7f00:1', '127.0.0.1', true],
    ['::ffff:203.0.113.9', '203.0.113.9', false],
    ['::ffff:192.168.100.200', '192.168.100.200', false],
    ['192.168.1.7', '192.168.1.7', false],
    ['fe80::1%eth0', 'fe80::1', false],
    ['::127.0.0.1', '::127.0.0.1', false],
    ['0.0.0.0', '0.0.0.0', false],
  ])('%s counts as %s', (peer, source, directLocal) => {
    expect(ask({}, { peer })).toMatchObject({ outcome: 'proceed', origin: { source, directLocal } })
  })

  test('a peer without an address is refused', () => {
    for (const peer of ['', 'localhost', '127.0.0.1%x']) {
      expect(ask({}, { peer })).toMatchObject({ refusal: { code: 'proxy-unattributed', header: 'none' } })
    }
  })
})

test('explains itself without a word of the peer', () => {
  expect(explain(ask({ host: 'evil.example' }))).toBe('-> rule 1  refused: host-rejected')
  expect(explain(ask({ origin: 'http://localhost:3000' }))).toBe(
    '-> rule 1  goes on, not local from 127.0.0.1, a browser',
  )
})

describe('clients as they are', () => {
  /** What decideUpgrade says of a real upgrade by this client. */
  async function upgradeBy(connect: (url: string) => void) {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const asked = once(server, 'upgrade')
    connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
    const [request] = (await asked) as [IncomingMessage]
    request.socket.destroy()
    server.close()
    const headers = new Map<string, string>()
    for (let i = 0; i < request.rawHeaders.length; i += 2) {
      const name = (request.rawHeaders[i] ?? '').toLowerCase()
      const value = request.rawHeaders[i + 1] ?? ''
      headers.set(name, headers.has(name) ? `${headers.get(name)}, ${value}` : value)
    }
    return decideUpgrade({ peerAddress: request.socket.remoteAddress ?? '127.0.0.1', headers, policy })
  }

  test.each<[string, (url: string) => void]>([
    ['ws', url => void new WsClient(url).on('error', () => 'cut by the server')],
    ['ws with a subprotocol', url => void new WsClient(url, 'x').on('error', () => 'cut by the server')],
    ['the WebSocket of Node', url => void new WebSocket(url)],
    ['the WebSocket of Node with a subprotocol', url => void new WebSocket(url, 'x')],
  ])('%s is direct local', async (_, connect) => {
    expect(await upgradeBy(connect)).toMatchObject({ outcome: 'proceed', origin: { directLocal: true } })
  })
})
