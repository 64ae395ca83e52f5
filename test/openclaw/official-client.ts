import type { OpenClawHostDeps } from '@holdfast/openclaw'
import { GatewayClient, GatewayClientRequestError } from '@openclaw/gateway-client'

/** How the official client fared: let in, or what it was told. */
export type OfficialOutcome = { readonly ok: true } | { readonly ok: false; readonly code: string | null }

export interface OfficialWish {
  readonly url: string
  readonly hostDeps: OpenClawHostDeps
  readonly scopes: readonly string[]
  readonly token?: string
  readonly clientDisplayName?: string
}

/** A bound for what hangs. */
const BOUND_MS = 120_000

/**
 * One connection of the official client: started, let in or told no for good, stopped. An error that it goes on to cure by
 * itself is not the end, so with `patient` only its pausing is.
 */
export function officialConnect(wish: OfficialWish, patient = false): Promise<OfficialOutcome> {
  return withClient(wish, patient, async () => ({ ok: true }))
}

/**
 * Connect, and ask for more over that connection, as 2026.9 has it.
 *
 * @param approve is told the request, for somebody else to answer
 * @returns what the client was told at the end
 */
export async function officialUpgrade(
  wish: OfficialWish,
  scopes: readonly string[],
  approve: (requestId: string) => Promise<unknown>,
): Promise<Readonly<Record<string, unknown>>> {
  let told: Readonly<Record<string, unknown>> = {}
  const outcome = await withClient(wish, false, async client => {
    const { requestId } = await client.request<{ requestId: string }>('device.scopes.requestUpgrade', {
      scopes: [...scopes],
    })
    const waiting = client.request('device.scopes.waitUpgrade', { requestId }, { timeoutMs: BOUND_MS })
    await approve(requestId)
    told = await waiting
    return { ok: true }
  })
  if (!outcome.ok) throw new Error(`the client was not let in: ${outcome.code}`)
  return told
}

function withClient(
  wish: OfficialWish,
  patient: boolean,
  whenIn: (client: GatewayClient) => Promise<OfficialOutcome>,
): Promise<OfficialOutcome> {
  return new Promise((resolve, reject) => {
    let last: string | null = null
    const bound = setTimeout(() => {
      client.stop()
      reject(new Error(`the official client had no answer after ${BOUND_MS} ms; last it was told ${last}`))
    }, BOUND_MS)
    const finish = (end: () => void): void => {
      clearTimeout(bound)
      // Not from within its own callback: it may have something to do behind it.
      setImmediate(() => {
        client.stop()
        end()
      })
    }
    const client = new GatewayClient({
      ...wish,
      scopes: [...wish.scopes],
      clientName: 'cli',
      mode: 'cli',
      minProtocol: 3,
      onHelloOk: () => {
        whenIn(client).then(
          outcome => finish(() => resolve(outcome)),
          (error: unknown) => finish(() => reject(error)),
        )
      },
      onConnectError: error => {
        const code = codeOf(error)
        last = code
        if (!patient) finish(() => resolve({ ok: false, code }))
      },
      onReconnectPaused: ({ detailCode }) => {
        const code = detailCode ?? last
        finish(() => resolve({ ok: false, code }))
      },
    })
    client.start()
  })
}

function codeOf(error: Error): string | null {
  if (!(error instanceof GatewayClientRequestError)) return null
  const details = error.details as Readonly<Record<string, unknown>> | undefined
  return typeof details?.['code'] === 'string' ? details['code'] : null
}
