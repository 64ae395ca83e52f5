import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  closingCommands,
  othersOn,
  parseSavedList,
  parseUserSid,
} from '../../packages/identity/src/internal/access-list.ts'
import {
  protectDirectory,
  protectFile,
  type RunSystemProgram,
  readAccess,
} from '../../packages/identity/src/internal/windows-access.ts'
import { failureOf, freshFolder } from './state-folder.ts'

// Windows' own programs are played by a fake here: neither Linux nor Wine has access lists.
const USER = 'S-1-5-21-1004336348-1177238915-682003330-1001'
const windows = { platform: 'win32', uid: null, gid: null } as const
const saved = (sddl: string): Buffer => Buffer.from(`key.json\r\n${sddl}\r\n`, 'utf16le')
const CLOSED = `D:PAI(A;OICI;FA;;;${USER})(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)`
const INHERITED = `D:AI(A;ID;FA;;;SY)(A;ID;FA;;;BA)(A;ID;FA;;;${USER})(A;ID;0x1200a9;;;BU)(A;ID;0x1301bf;;;AU)`

interface Fake {
  readonly run: RunSystemProgram
  readonly calls: readonly string[]
}

/** A Windows whose access list for anything is this one; `null`: one whose `icacls` does nothing at all. */
function fake(sddl: string | null, onCall: () => void = () => undefined): Fake {
  const calls: string[] = []
  const run: RunSystemProgram = (name, args) => {
    onCall()
    calls.push([name, ...args].join(' '))
    if (name === 'whoami.exe') return `"vm\\me","${USER}"\r\n`
    const save = args.indexOf('/save')
    if (save > 0 && sddl !== null) writeFileSync(args[save + 1] ?? '', saved(sddl))
    return ''
  }
  return { run, calls }
}

describe('the command line of icacls', () => {
  test('M24: gives a directory to its user, SYSTEM and Administrators, by SID, and inherits nothing', () => {
    expect(closingCommands('C:\\state', 'directory', USER)).toEqual([
      ['C:\\state', '/setowner', `*${USER}`, '/q'],
      [
        'C:\\state',
        '/inheritance:r',
        '/grant:r',
        `*${USER}:(OI)(CI)F`,
        '*S-1-5-18:(OI)(CI)F',
        '*S-1-5-32-544:(OI)(CI)F',
        '/q',
      ],
    ])
  })

  test('M24: gives a file the same, and, where the user’s SID cannot be told, its owner the user’s part', () => {
    expect(closingCommands('C:\\k', 'file', null)).toEqual([
      ['C:\\k', '/inheritance:r', '/grant:r', '*S-1-3-4:F', '*S-1-5-18:F', '*S-1-5-32-544:F', '/q'],
    ])
  })

  test('reads the SID of the user whatever the language, and none out of anything else', () => {
    expect(parseUserSid(`"büro\\jürgen","${USER}"\r\n`)).toBe(USER)
    expect(parseUserSid('VM\\root\r\n')).toBeNull()
  })
})

describe('what Windows says about access', () => {
  test('M24: a closed list has nobody else on it', () => {
    const list = parseSavedList(saved(CLOSED))
    expect(list).toEqual({ isProtected: true, allowed: [USER, 'S-1-5-18', 'S-1-5-32-544'] })
    expect(list && othersOn(list, USER)).toEqual([])
  })

  test('M24: an inherited list shows users and authenticated users, and that it is inherited', () => {
    const list = parseSavedList(saved(INHERITED))
    expect(list?.isProtected).toBe(false)
    expect(list && othersOn(list, USER)).toEqual(['S-1-5-32-545', 'S-1-5-11'])
  })

  test('refusals count for nobody’s access; the first account’s short name is its own; everyone is everyone', () => {
    const of = (sddl: string, user = USER): readonly string[] | null => {
      const list = parseSavedList(saved(sddl))
      return list && othersOn(list, user)
    }
    expect(of(`D:P(D;;FA;;;WD)(A;;FA;;;${USER})`)).toEqual([])
    expect(of('D:P(A;;FA;;;LA)', 'S-1-5-21-1-2-3-500')).toEqual([])
    expect(of('D:P(A;;FA;;;LA)')).toEqual(['LA'])
    expect(of('D:P(A;;FR;;;WD)')).toEqual(['S-1-1-0'])
    expect(of('nothing of the kind')).toBeNull()
  })
})

describe('a new directory or file on Windows', () => {
  test('F40 M24: is closed and read back while it is empty, and nothing of that is left in it', () => {
    const directory = join(freshFolder(), 'new')
    mkdirSync(directory)
    const { run, calls } = fake(CLOSED, () => expect(readdirSync(directory)).toEqual([]))
    protectDirectory(directory, windows, run)
    expect(calls.map(call => call.replaceAll(directory, '<new>'))).toEqual([
      'whoami.exe /user /fo csv /nh',
      `icacls.exe <new> /setowner *${USER} /q`,
      `icacls.exe <new> /inheritance:r /grant:r *${USER}:(OI)(CI)F *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F /q`,
      expect.stringContaining('icacls.exe <new> /save '),
    ])
    expect(readdirSync(directory)).toEqual([])
  })

  test('M24: that stays open to others is refused, with their SIDs', async () => {
    const path = join(freshFolder(), 'new')
    writeFileSync(path, '')
    const failure = await failureOf(() => protectFile(path, windows, fake(INHERITED).run))
    expect(failure).toMatchObject({
      code: 'ACCESS_LIST_OPEN',
      detail: { path, others: ['S-1-5-32-545', 'S-1-5-11'], fix: expect.stringContaining('icacls') },
    })
  })

  test('M24: that cannot be closed is refused, with the cause', async () => {
    const cause = new Error('The system cannot find the file specified')
    const failure = await failureOf(() =>
      protectDirectory(freshFolder(), windows, () => {
        throw cause
      }),
    )
    expect(failure).toMatchObject({ code: 'ACCESS_LIST_OPEN', detail: { others: null }, cause })
  })

  test('F40: what Windows does not say is not known, and no mode is made up', () => {
    const folder = freshFolder()
    expect(readAccess(folder, join(folder, 'scratch'), fake(null).run)).toBeNull()
    expect(readAccess(folder, join(folder, 'scratch'), fake(INHERITED).run)).toMatchObject({
      isProtected: false,
      others: ['S-1-5-32-545', 'S-1-5-11'],
    })
    expect(existsSync(join(folder, 'scratch'))).toBe(false)
  })

  test.runIf(process.platform !== 'win32')('elsewhere nothing is run: the mode does it', () => {
    const { run, calls } = fake(CLOSED)
    protectDirectory(freshFolder(), { platform: process.platform, uid: 0, gid: 0 }, run)
    expect(calls).toEqual([])
  })
})
