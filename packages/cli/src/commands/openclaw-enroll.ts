import { openIdentity } from '@holdfast/identity'
import { type EnrolmentAct, enrollWithOpenClaw } from '@holdfast/openclaw'
import { CommandError } from '../errors.ts'
import { facts, plain } from '../render.ts'
import { type CommandResult, type CommonOptions, refuseForeignOwner, type Wiring } from '../wiring.ts'
import { placeOf } from './id-reset.ts'

const QUESTION = 'Token of the OpenClaw gateway: '

/**
 * Make this install known to an OpenClaw gateway, with everything its clients may ever ask for, and free it where it is
 * stuck. The gateway token is never taken from the command line, where other users can read it. Ends with 1 where a person
 * has to approve first.
 */
export async function enroll(wiring: Wiring, url: string, options: CommonOptions): Promise<CommandResult> {
  refuseForeignOwner(wiring)
  if (!/^wss?:\/\/[^/@]+/.test(url) || !URL.canParse(url)) {
    throw new CommandError('USAGE', { reason: 'the address of the gateway begins with ws:// or wss://' })
  }
  const token = ((await wiring.ask(QUESTION)) ?? (await wiring.readInput()).toString('utf8')).trim()
  if (token === '') throw new CommandError('USAGE', { reason: 'no gateway token came on standard input' })
  const identity = await openIdentity(placeOf(wiring, options))
  const enrolment = await enrollWithOpenClaw({ identity, url, token })
  const head = [
    ['device id', identity.id],
    ['gateway', url],
  ] as const
  const done = enrolment.did.map(sentenceOf)
  if (enrolment.outcome === 'enrolled') {
    return {
      json: { deviceId: identity.id, url, ...enrolment },
      lines: [...facts([...head, ['proof', enrolment.proof]]), ...done, 'Let in, with everything.'],
    }
  }
  return {
    json: { deviceId: identity.id, url, ...enrolment },
    lines: [...facts(head), ...done, 'A person has to say yes, once:', `  ${plain(enrolment.command, 200)}`],
    exitCode: 1,
  }
}

function sentenceOf(act: EnrolmentAct): string {
  switch (act.act) {
    case 'approved':
      return `It was stuck: request ${plain(act.requestId)} was approved by a device made for that.`
    case 'rejected':
      return `Request ${plain(act.requestId)} was left over, and rejected.`
    case 'removed':
      return `The device made for that was removed again: ${plain(act.deviceId)}`
  }
}
