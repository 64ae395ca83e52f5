import type { DeviceId } from '@holdfast/identity'

/** Something that a live gate must act on, whoever wrote it. `sequence` grows by commit order. */
export type StoreChange = { readonly sequence: number } & (
  | { readonly kind: 'device-changed'; readonly deviceId: DeviceId }
  | { readonly kind: 'request-opened'; readonly requestId: string; readonly deviceId: DeviceId }
  | {
      readonly kind: 'request-closed'
      readonly requestId: string
      readonly deviceId: DeviceId
      readonly outcome: RequestOutcome
    }
  /** `subject`: the id of a delegation, or of the key of a holder; everybody below is shut out with it. */
  | { readonly kind: 'delegation-revoked'; readonly deviceId: DeviceId; readonly subject: string }
  | { readonly kind: 'gateway-token-changed'; readonly generationId: string }
  | { readonly kind: 'settings-changed' }
  /** Changes were dropped before they could be read (this process slept for long): look at everything again. */
  | { readonly kind: 'changes-missed' }
  /** Nothing more will come: the file was replaced or removed, or cannot be read any more. Every call rejects now. */
  | { readonly kind: 'store-lost'; readonly reason: 'replaced' | 'unreadable' }
)

/** How a request came to its end. */
export type RequestOutcome = 'approved' | 'rejected' | 'expired' | 'device-revoked'

/** Told of one change. What it throws goes to the process as an uncaught exception, and stops no other listener. */
export type ChangeListener = (change: StoreChange) => void
