/** A test that does not hold on Windows, or in Wine, and why that says nothing about what it tests. */
export interface NotOnWindows {
  readonly suite: string
  readonly title: string
  readonly reason: string
}

export const NOT_ON_WINDOWS: readonly NotOnWindows[] = [
  {
    suite: 'test/spawner/spawn-agent.test.ts',
    title: 'an env that is given is kept, and a stale place in it is replaced',
    reason: 'Windows gives every process variables of its own',
  },
  {
    suite: 'test/pairing-store/sqlite-processes.test.ts',
    title: 'M19 control: the same race loses effects where everybody reads, changes and writes',
    reason: 'the control renames over a file that others have open, once, which Windows refuses',
  },
  {
    suite: 'test/pairing-store/sqlite-processes.test.ts',
    title: 'of many processes that open a new store together all open the same one',
    reason: 'in Wine the last to close a database leaves its -wal and -shm behind',
  },
  {
    suite: 'test/pairing-store/sqlite-backup.test.ts',
    title: 'is a single file that nobody else can read, and nothing is left beside it',
    reason: 'modes mean nothing on Windows: what counts is the access list of the folder',
  },
  {
    suite: 'test/pairing-store/sqlite-backup.test.ts',
    title: 'a copy that is broken, or that others can write, is refused, and nothing is changed',
    reason: 'modes mean nothing on Windows: what counts is the access list of the folder',
  },
  {
    suite: 'test/pairing-store/sqlite-tokens.test.ts',
    title: 'F68: whenever a rotation is killed, the token that the client kept last is live',
    reason: 'the test replaces the file of a database that a killed process in Wine still has open',
  },
  {
    suite: 'test/delegation/hand-down.test.ts',
    title: 'two that read the same pipe: the second finds its end, and says so',
    reason: 'the test closes and hands on numbered descriptors by a shell, which hands none on in Wine',
  },
  {
    suite: 'test/delegation/hand-down.test.ts',
    title: 'a shell hands it to the one program that connects, and shows the key to nobody',
    reason: 'the same',
  },
  {
    suite: 'test/delegation/hand-down.test.ts',
    title: 'is not read where others may read it',
    reason: 'modes mean nothing on Windows: what counts is the access list of the folder',
  },
  {
    suite: 'test/delegation/hand-down.test.ts',
    title: 'is not read where it is a link',
    reason: 'in Wine nobody may make a link',
  },
]
