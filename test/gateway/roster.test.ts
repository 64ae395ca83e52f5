import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Roster } from '../../packages/gateway/src/internal/roster.ts'

const people = Array.from({ length: 8 }, (_, name) => ({ name }))
const steps = fc.array(fc.record({ comes: fc.boolean(), who: fc.constantFrom(...people) }), { maxLength: 60 })

describe('a roster', () => {
  test('holds whoever came and has not left, each once, in whatever order they leave', () => {
    fc.assert(
      fc.property(steps, taken => {
        const roster = new Roster<(typeof people)[number]>()
        const model = new Set<(typeof people)[number]>()
        for (const { comes, who } of taken) {
          if (comes) roster.add(who)
          else roster.delete(who)
          if (comes) model.add(who)
          else model.delete(who)
          expect(roster.size).toBe(model.size)
          expect(new Set(roster.list())).toEqual(model)
          expect(new Set(people.map((_, place) => roster.at(place)).filter(each => each !== null))).toEqual(
            model,
          )
        }
      }),
    )
  })

  test('is gone through as it was at the beginning, whoever leaves or comes meanwhile', () => {
    const roster = new Roster<{ readonly name: number }>()
    for (const each of people) roster.add(each)
    const seen: number[] = []
    for (const each of roster.list()) {
      seen.push(each.name)
      for (const other of people) roster.delete(other)
      roster.add({ name: 99 })
    }
    expect(seen.sort()).toEqual(people.map(({ name }) => name))
  })
})
