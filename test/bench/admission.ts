import type { Table } from './measure.ts'
import { startPeer } from './peer.ts'
import { FAMILIES } from './programs/bench-client.ts'
import { quantiles, quantilesText } from './quantiles.ts'

const DEVICES = [1_000, 1_000_000] as const
const WARM_UP = 10_000
const ROUNDS = 5
const ADMISSIONS = 2_000
const MOST_MICROS = 40

/** Both in µs, in turns. */
interface Times {
  readonly admission: readonly number[]
  readonly cryptography: readonly number[]
}

/** What a gate does beyond the cryptography, from the `connect` to the `hello-ok`, without a network. */
export async function measureAdmission(): Promise<Table> {
  const rows: (readonly string[])[] = []
  let isKept = true
  for (const family of FAMILIES) {
    for (const devices of DEVICES) {
      const gate = await startPeer<null>('admission', family, String(devices), String(WARM_UP))
      const all: Times[] = []
      for (let round = 0; round < ROUNDS; round++) all.push(await gate.ask<Times>(String(ADMISSIONS)))
      await gate.end()
      const admission = quantiles(all.flatMap(times => times.admission))
      const cryptography = quantiles(all.flatMap(times => times.cryptography))
      const beyond = admission.p50 - cryptography.p50
      isKept &&= beyond <= MOST_MICROS
      rows.push([
        family,
        devices.toLocaleString('en'),
        quantilesText(admission),
        quantilesText(cryptography),
        beyond.toFixed(0),
        (beyond / cryptography.p50).toFixed(2),
        beyond <= MOST_MICROS ? 'kept' : '**missed**',
      ])
    }
  }
  return {
    title: 'Admission',
    headings: [
      ...['family', 'devices', 'admission, µs', 'its cryptography alone, µs'],
      ...['beyond, µs', 'beyond ÷ cryptography', `budget, ≤ ${MOST_MICROS} µs`],
    ],
    rows,
    isKept,
    remarks: [
      'p50 / p99, in turns in one process; beyond: the difference of the medians. An admission: from the `connect` frame to the `hello-ok`, by a gate on SQLite whose sockets are in memory: parsing, wish, proof, credential, one statement of the store, rules, answer.',
      'Its cryptography: of the device the key, the id that is its hash and the signature; the gateway token in constant time; with `holdfast/1` the MAC and the gateway’s own signature.',
      `${(ROUNDS * ADMISSIONS).toLocaleString('en')} of each, after ${WARM_UP.toLocaleString('en')} that are not counted.`,
    ],
  }
}
