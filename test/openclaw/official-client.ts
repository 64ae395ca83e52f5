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

/**
 * One connection of the official client: started, let in or told no for good, stopped. An error that it goes on to cure by
 * itself is not the end, so with `patient` only its pausing is.
 */
export function officialConnect(wish: OfficialWish, patient = false): Promise<OfficialOutcome> {
  return new Promise(resolve => {
    let last: string | null = null
    const finish = (outcome: OfficialOutcome): void => {
      // Not from within its own callback: it may have something to do behind it.
      setImmediate(() => {
        client.stop()
        resolve(outcome)
      })
    }
    const client = new GatewayClient({
      ...wish,
      scopes: [...wish.scopes],
      clientName: 'cli',
      mode: 'cli',
      minProtocol: 3,
      onHelloOk: () => finish({ ok: true }),
      onConnectError: error => {
        last = codeOf(error)
        if (!patient) finish({ ok: false, code: last })
      },
      onReconnectPaused: ({ detailCode }) => finish({ ok: false, code: detailCode ?? last }),
    })
    client.start()
  })
}

function codeOf(error: Error): string | null {
  if (!(error instanceof GatewayClientRequestError)) return null
  const details = error.details as Readonly<Record<string, unknown>> | undefined
  return typeof details?.['code'] === 'string' ? details['code'] : null
}
