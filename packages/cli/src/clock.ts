/** The time of day, in ms since the epoch. */
export function nowMs(): number {
  return Date.now()
}

/** A clock that only goes forward, in ms with fractions: for how long something took. */
export function ticksMs(): number {
  return performance.now()
}
