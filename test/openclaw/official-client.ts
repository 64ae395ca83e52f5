import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { OpenClawHostDeps } from './front-door.ts'
import { officialClientFolder } from './real-versions.ts'

/** The options of `GatewayClient` that this suite uses. */
interface OfficialOptions {
  readonly url: string
  readonly token?: string
  readonly scopes?: readonly string[]
  readonly role?: string
  readonly clientName?: string
  readonly mode?: string
  readonly clientDisplayName?: string
  readonly minProtocol?: number
  readonly hostDeps: OpenClawHostDeps
  readonly onHelloOk?: (hello: { readonly auth?: Readonly<Record<string, unknown>> }) => void
  readonly onConnectError?: (error: Error & { readonly details?: Readonly<Record<string, unknown>> }) => void
  readonly onReconnectPaused?: (info: { readonly detailCode?: string | null }) => void
}

interface OfficialClient {
  start(): void
  stop(): void
  request(method: string, params: unknown): Promise<Record<string, unknown>>
}

type OfficialModule = { readonly GatewayClient: new (options: OfficialOptions) => OfficialClient }

/** How the official client fared: let in, or what it was told. */
export type OfficialOutcome =
  | { readonly ok: true; readonly auth: Readonly<Record<string, unknown>> }
  | { readonly ok: false; readonly code: string | null }

export type OfficialWish = Omit<OfficialOptions, 'onHelloOk' | 'onConnectError' | 'onReconnectPaused'>

/**
 * One connection of the official client: started, let in or told no for good, stopped. An error that it goes on to cure by
 * itself is not the end, so with `patient` only its pausing is.
 */
export async function officialConnect(wish: OfficialWish, patient = false): Promise<OfficialOutcome> {
  const { GatewayClient } = await loadOfficial()
  return new Promise(resolve => {
    let last: string | null = null
    const finish = (outcome: OfficialOutcome): void => {
      // Not from within its own callback: it stores the token right after the hello.
      setImmediate(() => {
        client.stop()
        resolve(outcome)
      })
    }
    const client = new GatewayClient({
      clientName: 'cli',
      mode: 'cli',
      minProtocol: 3,
      ...wish,
      onHelloOk: hello => finish({ ok: true, auth: hello.auth ?? {} }),
      onConnectError: error => {
        const code = error.details?.['code']
        last = typeof code === 'string' ? code : null
        if (!patient) finish({ ok: false, code: last })
      },
      onReconnectPaused: ({ detailCode }) => finish({ ok: false, code: detailCode ?? last }),
    })
    client.start()
  })
}

function loadOfficial(): Promise<OfficialModule> {
  const file = join(officialClientFolder(), 'node_modules/@openclaw/gateway-client/dist/index.mjs')
  return import(/* @vite-ignore */ pathToFileURL(file).href)
}
