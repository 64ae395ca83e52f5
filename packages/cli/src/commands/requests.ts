import type { PairingStore, RequestRecord } from '@holdfast/pairing-store'
import { CommandError } from '../errors.ts'
import { deviceLabel, facts, moment, plain, span, table } from '../render.ts'
import {
  type CommandResult,
  type CommonOptions,
  checkCursor,
  placeOptions,
  type Wiring,
  withStore,
} from '../wiring.ts'

/** Who waits for an answer, and what they lack. */
export async function requests(
  wiring: Wiring,
  _argument: string,
  options: CommonOptions & { readonly limit: number; readonly after?: string },
): Promise<CommandResult> {
  checkCursor(options.after, text => (/^[0-9a-f-]{36}$/.test(text) ? text : null))
  const page = await withStore(wiring, store =>
    store.listRequests({
      limit: options.limit,
      ...(options.after !== undefined && { after: options.after }),
    }),
  )
  const rows = page.items.map(request => [
    request.requestId,
    deviceLabel(request.deviceId, request.name),
    request.role,
    request.missing.join(' ') || '(the role)',
    span(request.expiresAtMs - wiring.nowMs()),
  ])
  const lines = table(['request', 'device', 'role', 'lacks', 'expires in'], rows)
  return {
    json: { requests: page.items, next: page.next },
    lines:
      rows.length === 0
        ? ['No open request.']
        : [...lines, '', `Answer one: holdfast approve REQUEST ${placeOptions(wiring)}`],
  }
}

/** Shows what is approved, and approves exactly that. */
export async function approve(
  wiring: Wiring,
  requestId: string,
  options: CommonOptions & { readonly digest?: string },
): Promise<CommandResult> {
  return withStore(wiring, async store => {
    const request = await findRequest(wiring, store, requestId)
    if (!wiring.json) describe(request).forEach(wiring.say)
    const expectedDigest = options.digest ?? request.digest
    const answer = await store.approveRequest(requestId, { by: { kind: 'store-writer' }, expectedDigest })
    switch (answer.outcome) {
      case 'approved':
        return {
          json: { approved: answer.request, device: answer.device },
          lines: [
            `Approved. ${deviceLabel(answer.device.deviceId, answer.device.name)} is let in when it connects again.`,
          ],
        }
      case 'unknown':
        throw new CommandError('REQUEST_UNKNOWN', { requestId: plain(requestId), fix: listOpen(wiring) })
      case 'expired':
        throw new CommandError('REQUEST_EXPIRED', {
          requestId,
          fix: 'The device asks anew when it connects again.',
        })
      case 'digest-mismatch':
        throw new CommandError('REQUEST_CHANGED', { requestId, fix: listOpen(wiring) })
      case 'device-revoked':
        throw new CommandError('DEVICE_REVOKED', {
          deviceId: request.deviceId,
          fix: `holdfast reinstate ${request.deviceId} ${placeOptions(wiring)}`,
        })
      case 'approver-too-small':
        throw new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
    }
  })
}

/** Turns a request down. The device may ask again. */
export async function reject(wiring: Wiring, requestId: string): Promise<CommandResult> {
  return withStore(wiring, async store => {
    const answer = await store.rejectRequest(requestId, { by: { kind: 'store-writer' } })
    switch (answer.outcome) {
      case 'rejected':
        return { json: { rejected: answer.request }, lines: ['Rejected.'] }
      case 'unknown':
        throw new CommandError('REQUEST_UNKNOWN', { requestId: plain(requestId), fix: listOpen(wiring) })
      case 'expired':
        throw new CommandError('REQUEST_EXPIRED', { requestId, fix: 'There is nothing left to answer.' })
      case 'approver-too-small':
        throw new CommandError('APPROVER_TOO_SMALL', { missing: answer.missing })
    }
  })
}

async function findRequest(wiring: Wiring, store: PairingStore, requestId: string): Promise<RequestRecord> {
  const request = await store.findRequest(requestId)
  if (request === null)
    throw new CommandError('REQUEST_UNKNOWN', { requestId: plain(requestId), fix: listOpen(wiring) })
  return request
}

function listOpen(wiring: Wiring): string {
  return `List what is open: holdfast requests ${placeOptions(wiring)}`
}

function describe(request: RequestRecord): string[] {
  return facts([
    ['device', `${request.deviceId}${request.name === null ? '' : ` "${plain(request.name, 40)}"`}`],
    ['role', request.role],
    ['asks for', request.scopes.join(' ') || '(the role)'],
    ['lacks', request.missing.join(' ') || '(the role)'],
    ['came from', `${request.source}${request.originClass === 'browser' ? ' (a browser page)' : ''}`],
    ['asked first', moment(request.createdAtMs)],
    ['digest', request.digest],
  ])
}
