const verified = new WeakSet<object>()

/** Enter a proof among the verified ones. Only the proof families of this package call it, after the last check. */
export function markVerified<T extends object>(proof: T): T {
  const frozen = Object.freeze(proof)
  verified.add(frozen)
  return frozen
}

export function wasVerified(proof: object): boolean {
  return verified.has(proof)
}
