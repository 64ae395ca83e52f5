const verified = new WeakSet<object>()

/**
 * Freeze a proof, and enter it among the verified ones. Only the proof families of this package call it, after the last
 * check. What a proof holds besides texts and the key (which cannot be changed) is frozen too.
 */
export function markVerified<
  T extends { readonly wish: { readonly scopes: object }; readonly client: object },
>(proof: T): T {
  for (const part of [proof.wish.scopes, proof.wish, proof.client, proof]) Object.freeze(part)
  verified.add(proof)
  return proof
}

/** Did {@link markVerified} enter this very object? */
export function wasVerified(proof: unknown): boolean {
  // Of what is no object `has` says no, though its type asks for one.
  return verified.has(proof as object)
}
