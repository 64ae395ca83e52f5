import { expect, test } from 'vitest'
import { runProgram } from '../support/processes.ts'
import { startInstall } from './gateway.ts'

test('the sample: five subagents with a scope each, one of which starts a child of its own', async () => {
  const { directory, store } = await startInstall()
  const sample = new URL('../samples/delegation.ts', import.meta.url)
  const { stdout, stderr } = await runProgram(sample, { env: { HOLDFAST_DIR_MY_APP: directory } })
  expect(stderr).toBe('')
  expect(stdout.trim().split('\n').sort()).toEqual([
    'approvals operator.approvals',
    'nested operator.read',
    'questions operator.questions',
    'read operator.read',
    'talk operator.talk',
    'write operator.write',
  ])
  expect((await store.listDevices()).items.length).toBe(1)
})
