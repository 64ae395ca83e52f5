import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Place, Roster } from '../../packages/gateway/src/internal/roster.ts'

interface Person {
  readonly name: number
}

const people: readonly Person[] = Array.from({ length: 8 }, (_, name) => ({ name }))
/** Somebody comes; or one of those who ever came leaves, perhaps for the second time. */
const steps = fc.array(fc.record({ comes: fc.boolean(), which: fc.nat({ max: 59 }) }), { maxLength: 60 })

describe('a roster', () => {
  test('holds whoever came and has not left, as often as they came, in whatever order they leave', () => {
    fc.assert(
      fc.property(steps, taken => {
        const roster = new Roster<Person>()
        const came: { readonly place: Place<Person>; isThere: boolean }[] = []
        for (const { comes, which } of taken) {
          const other = came[which % Math.max(1, came.length)]
          if (comes || other === undefined)
            came.push({ place: roster.add(people[which % people.length] as Person), isThere: true })
          else {
            other.place.leave()
            other.isThere = false
          }
          const there = came.filter(({ isThere }) => isThere).map(({ place }) => place)
          expect(roster.size).toBe(there.length)
          expect(sorted(roster.list())).toEqual(sorted(there.map(({ item }) => item)))
          const places = Array.from({ length: came.length + 1 }, (_, index) => roster.at(index))
          expect(new Set(places.filter(place => place !== null))).toEqual(new Set(there))
        }
      }),
    )
  })

  test('is gone through as it was at the beginning, whoever leaves or comes meanwhile', () => {
    const roster = new Roster<Person>()
    const places = people.map(each => roster.add(each))
    const seen: number[] = []
    for (const each of roster.list()) {
      seen.push(each.name)
      for (const place of places) place.leave()
      roster.add({ name: 99 })
    }
    expect(seen.sort()).toEqual(people.map(({ name }) => name))
  })
})

function sorted(some: readonly Person[]): readonly number[] {
  return some.map(({ name }) => name).sort((a, b) => a - b)
}
