import type { DeviceId } from '@holdfast/identity'

/** Something that a live gate must act on, whoever wrote it. `sequence` grows by commit order. */
export type StoreChange = { readonly sequence: number } & (
  | { readonly kind: 'device-changed'; readonly deviceId: DeviceId }
  | { readonly kind: 'request-opened'; readonly requestId: string; readonly deviceId: DeviceId }
  | {
      readonly kind: 'request-closed'
      readonly requestId: string
      readonly deviceId: DeviceId
      readonly outcome: 'approved' | 'rejected' | 'expired'
    }
  | { readonly kind: 'gateway-token-changed'; readonly generationId: string }
  | { readonly kind: 'settings-changed' }
)

export type ChangeListener = (change: StoreChange) => void
