/** The system's own code of a caught error (`ENOENT`, …), or null where it is another kind of failure. */
export function errnoOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}
