// Opens an identity at each barrier, and prints what it got as one line of JSON a round; `null` where it sits a round out.
import { type IdentityOptions, isIdentityError, openIdentity, openIdentitySync } from '@holdfast/identity'
import { waitAtBarrier } from '../../support/at-barrier.ts'

type Round = (IdentityOptions & { readonly sync: boolean }) | null

async function open(round: Round): Promise<unknown> {
  if (round === null) return null
  const startedMs = performance.now()
  try {
    const { id, created } = round.sync ? openIdentitySync(round) : await openIdentity(round)
    return { id, created, tookMs: performance.now() - startedMs }
  } catch (error) {
    if (!isIdentityError(error)) throw error
    return { code: error.code, detail: error.detail }
  }
}

const rounds = JSON.parse(process.argv[2] ?? '[]') as readonly Round[]
for (const [index, round] of rounds.entries()) {
  waitAtBarrier(index)
  console.log(JSON.stringify(await open(round)))
}
