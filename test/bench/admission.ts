import type { Table } from './measure.ts'
import { startPeer } from './peer.ts'
import { FAMILIES, IN_A_ROW } from './programs/bench-client.ts'
import { quantiles, quantilesText } from './quantiles.ts'

/** Devices that come in turns: one that the gate knows, or more than it keeps the keys of. */
const COMERS = { known: 1, new: 2_048 } as const
const CASES = [
  { devices: 1_000, key: 'known' },
  { devices: 1_000_000, key: 'known' },
  { devices: 1_000, key: 'new' },
] as const
const WARM_UP = 10_000
const ADMISSIONS = 20_000
/** So many of the rows count. */
const CALM_SHARE = 0.1
/** The budget, and how long one verification took where it was set. */
const MOST = { beyondMicros: 40, verificationMicros: 110 } as const
const MOST_SHARE = MOST.beyondMicros / MOST.verificationMicros

/** In µs, in turns. */
interface Times {
  readonly admission: readonly number[]
  readonly cryptography: readonly number[]
  readonly verification: readonly number[]
}

/** What a gate does beyond the cryptography, from the `connect` to the `hello-ok`, without a network. */
export async function measureAdmission(): Promise<Table> {
  const rows: (readonly string[])[] = []
  let isKept = true
  for (const family of FAMILIES) {
    for (const { devices, key } of CASES) {
      const { admission, cryptography, verification } = await measure(family, devices, COMERS[key])
      const beyond = admission.p50 - cryptography.p50
      const share = beyond / verification.p50
      const holds = share <= MOST_SHARE
      if (key === 'known') isKept &&= holds
      rows.push([
        family,
        devices.toLocaleString('en'),
        key,
        quantilesText(admission),
        quantilesText(cryptography),
        beyond.toFixed(0),
        verification.p50.toFixed(0),
        share.toFixed(2),
        key === 'new' ? '–' : holds ? 'kept' : '**missed**',
      ])
    }
  }
  return {
    title: 'Admission',
    headings: [
      ...['family', 'devices', 'key', 'admission, µs', 'its cryptography alone, µs', 'beyond, µs'],
      ...['one verification, µs', 'beyond ÷ verification', `budget, ≤ ${MOST_SHARE.toFixed(2)}`],
    ],
    rows,
    isKept,
    remarks: [
      'p50 / p99, in turns in one process; beyond: the difference of the medians. An admission: from the `connect` frame to the `hello-ok`, by a gate on SQLite whose sockets are in memory: parsing, wish, proof, credential, one statement of the store, rules, answer.',
      'Its cryptography: of the device the key, read anew each time, the id that is its hash and the signature; the gateway token in constant time; with `holdfast/1` the MAC and the gateway’s own signature. One verification: `node:crypto`, 300 bytes, with a key that is ready.',
      'Key: `known` where the device has come before, as with the many processes of one install; `new` where the gate has not met it, or not among the last 1,024.',
      `Budget: ${MOST.beyondMicros} µs where one verification takes ${MOST.verificationMicros}, and in proportion where the machine is slower or quicker; for keys that are known.`,
      `${ADMISSIONS.toLocaleString('en')} of each, after ${WARM_UP.toLocaleString('en')} that are not counted, ${IN_A_ROW} in a row. The tenth of the rows counts in which the verifications were quickest: what else the machine does takes from all three, but most from what needs most memory.`,
    ],
  }
}

async function measure(family: string, devices: number, comers: number) {
  const gate = await startPeer<null>('admission', ...[family, devices, comers, WARM_UP].map(String))
  const times = await gate.ask<Times>(String(ADMISSIONS))
  await gate.end()
  const of = (part: keyof Times, start: number) => times[part].slice(start, start + IN_A_ROW)
  const calm = Array.from({ length: ADMISSIONS / IN_A_ROW }, (_, at) => at * IN_A_ROW)
    .map(start => ({ start, verification: quantiles(of('verification', start)).p50 }))
    .sort((left, right) => left.verification - right.verification)
    .slice(0, (ADMISSIONS / IN_A_ROW) * CALM_SHARE)
  const all = (part: keyof Times) => quantiles(calm.flatMap(({ start }) => of(part, start)))
  return {
    admission: all('admission'),
    cryptography: all('cryptography'),
    verification: all('verification'),
  }
}
