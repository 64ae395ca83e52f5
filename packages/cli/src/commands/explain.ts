import type { DecisionEntry } from '@holdfast/gateway'
import { explanationLines } from '@holdfast/handshake'
import { readDecisions } from '../decision-log.ts'
import { CommandError } from '../errors.ts'
import { moment, plain } from '../render.ts'
import { type CommandResult, placeOptions, type Wiring } from '../wiring.ts'

/** Why a connection was admitted or refused, or a person asked: rule by rule, and what would change the answer. */
export async function explain(wiring: Wiring, id: string): Promise<CommandResult> {
  const entry = (await readDecisions(wiring)).findLast(each => isAbout(each, id))
  if (entry === undefined) {
    throw new CommandError('DECISION_UNKNOWN', {
      id: plain(id),
      fix: `Ids are given whole, and the last few thousand decisions are kept: holdfast watch ${placeOptions(wiring)}`,
    })
  }
  const change = changeOf(entry, wiring)
  return {
    json: { ...entry, change },
    lines: [
      `${moment(entry.atMs)}  ${headlineOf(entry)}`,
      ...(entry.explanation === null ? [] : explanationLines(entry.explanation)),
      ...(change === null ? [] : ['', `To change it: ${change}`]),
    ],
  }
}

function isAbout({ event }: DecisionEntry, id: string): boolean {
  if (event.event === 'admitted') return event.connectionId === id
  return event.event === 'refused' && (event.connectionId === id || event.requestId === id)
}

function headlineOf({ event }: DecisionEntry): string {
  if (event.event === 'admitted') return `connection ${event.connectionId}: admitted by rule ${event.rule}`
  if (event.event !== 'refused') return event.event
  return `connection ${event.connectionId ?? 'before the upgrade'}: ${event.refusal} by rule ${event.rule}`
}

/** The command with the options that name this install, where it is one that has them. */
function changeOf({ explanation }: DecisionEntry, wiring: Wiring): string | null {
  if (explanation === null) return null
  const { change } = explanation
  return change.startsWith('holdfast ') ? `${change} ${placeOptions(wiring)}` : change
}
