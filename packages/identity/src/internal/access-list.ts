// What Windows' own `icacls` and `whoami` are told and what they answer, as pure functions. Accounts are named by SID: the
// names of SYSTEM and Administrators are translated on half of the world's machines.

/** Whom a private file may be open to, beside its user: both can take any file over anyway. */
export const SYSTEM_SID = 'S-1-5-18'
export const ADMINISTRATORS_SID = 'S-1-5-32-544'
/** Whoever owns the object: stands in where the user's own SID cannot be told. */
const OWNER_RIGHTS_SID = 'S-1-3-4'

/** Who may do what with a file or directory, as its access list says. */
export interface AccessList {
  /** The list is its own: nothing is inherited from the directory above. */
  readonly isProtected: boolean
  /** SIDs of those it gives any right; one that is spelled by a short name which we do not know is left as it is. */
  readonly allowed: readonly string[]
}

/** Short names of the security descriptor language (MS-DTYP §2.5.1.1) that turn up on files. */
const SHORT_NAMES: Readonly<Record<string, string>> = {
  SY: SYSTEM_SID,
  BA: ADMINISTRATORS_SID,
  OW: OWNER_RIGHTS_SID,
  CO: 'S-1-3-0',
  WD: 'S-1-1-0',
  AU: 'S-1-5-11',
  IU: 'S-1-5-4',
  BU: 'S-1-5-32-545',
  PU: 'S-1-5-32-547',
  BG: 'S-1-5-32-546',
}

/**
 * The command lines of `icacls` that close a path to everybody but its user, SYSTEM and Administrators: first the owner,
 * then the list, with inheritance off.
 *
 * @param userSid null where it cannot be told: whoever owns the object is then given the rights
 */
export function closingCommands(
  path: string,
  kind: 'file' | 'directory',
  userSid: string | null,
): readonly (readonly string[])[] {
  const inherited = kind === 'directory' ? '(OI)(CI)' : ''
  const rights = [userSid ?? OWNER_RIGHTS_SID, SYSTEM_SID, ADMINISTRATORS_SID].map(
    sid => `*${sid}:${inherited}F`,
  )
  const closing = [path, '/inheritance:r', '/grant:r', ...rights, '/q']
  return userSid === null ? [closing] : [[path, '/setowner', `*${userSid}`, '/q'], closing]
}

/** The SID in the answer of `whoami /user /fo csv /nh`, or `null` where there is none. */
export function parseUserSid(answer: string): string | null {
  return /"(S-1-5-[0-9-]+)"\s*$/.exec(answer)?.[1] ?? null
}

/** The access list in what `icacls <path> /save` writes (UTF-16LE: a name, then SDDL), or `null` where there is none. */
export function parseSavedList(bytes: Uint8Array): AccessList | null {
  const list = /D:([A-Z]*)((?:\([^()]*\))*)/.exec(Buffer.from(bytes).toString('utf16le'))
  if (list === null) return null
  const [, flags = '', entries = ''] = list
  const allowed = [...entries.matchAll(/\(([^()]*)\)/g)]
    .map(([, entry = '']) => entry.split(';'))
    .filter(([type]) => type === 'A' || type === 'OA' || type === 'XA')
    .map(parts => parts[5] ?? '')
    .map(trustee => SHORT_NAMES[trustee] ?? trustee)
  return { isProtected: /^(AR|AI)*P/.test(flags), allowed: [...new Set(allowed)] }
}

/** Those on the list who are neither this user nor SYSTEM nor Administrators. */
export function othersOn(list: AccessList, userSid: string | null): readonly string[] {
  const own = new Set([SYSTEM_SID, ADMINISTRATORS_SID, OWNER_RIGHTS_SID, 'S-1-3-0', userSid])
  // The machine's first account has a short name of its own.
  if (userSid?.endsWith('-500')) own.add('LA')
  return list.allowed.filter(sid => !own.has(sid))
}
