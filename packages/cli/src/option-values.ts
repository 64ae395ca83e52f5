import { type DeviceId, parseDeviceId } from '@holdfast/identity'
import { InvalidArgumentError, Option } from 'commander'

/** Whose key a command is about. */
export function nameOption(): Option {
  return new Option('--name <name>', 'whose key').choices(['device', 'gateway']).default('device')
}

/** How long a page of a list is. */
export function limitOption(): Option {
  return new Option('--limit <n>', 'at most so many').argParser(parseCount).default(1_000)
}

/** Which OpenClaw is meant. */
export function openClawDirOption(): Option {
  return new Option(
    '--openclaw-dir <dir>',
    "OpenClaw's state directory (default: OPENCLAW_STATE_DIR, or ~/.openclaw)",
  )
}

/** A TCP port; 0 takes a free one. */
export function parsePort(text: string): number {
  const port = Number(text)
  if (!/^\d{1,5}$/.test(text) || port > 65_535)
    throw new InvalidArgumentError('A port is a number from 0 to 65535.')
  return port
}

/** A number from 1 to 1000. */
export function parseCount(text: string): number {
  const count = Number(text)
  if (!/^\d{1,4}$/.test(text) || count < 1 || count > 1_000) {
    throw new InvalidArgumentError('A number from 1 to 1000 is needed.')
  }
  return count
}

/** A number from 1 to 10. */
export function parseMinutes(text: string): number {
  const minutes = Number(text)
  if (!/^\d{1,2}$/.test(text) || minutes < 1 || minutes > 10)
    throw new InvalidArgumentError('A number from 1 to 10 is needed.')
  return minutes
}

/** A span of days or hours, such as `90d` or `12h`, in ms. */
export function parseAge(text: string): number {
  const [, count = '', unit = ''] = /^([1-9]\d{0,4})([dh])$/.exec(text) ?? []
  if (count === '') throw new InvalidArgumentError('An age such as 90d or 12h is needed.')
  return Number(count) * (unit === 'd' ? 24 : 1) * 3_600_000
}

/** Scopes, separated by commas. An empty list is said, never left out: a variable that is not set must not mean it. */
export function parseScopeList(text: string): string[] {
  if (text === 'none') return []
  const names = text.split(',')
  if (names.includes(''))
    throw new InvalidArgumentError('Scopes separated by commas are needed, or the word none.')
  return names
}

/** Names or addresses, separated by commas. */
export function parseList(text: string): string[] {
  const entries = text.split(',')
  if (entries.includes('')) throw new InvalidArgumentError('A list separated by commas is needed.')
  return entries
}

/** The id of a gateway: 64 hex digits. */
export function parseGatewayId(text: string): DeviceId {
  const id = parseDeviceId(text)
  if (id === null) throw new InvalidArgumentError('A gateway id is 64 lower-case hex digits.')
  return id
}
