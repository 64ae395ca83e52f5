/**
 * Go on as another user. Called once everything is imported: another user may not be able to read this checkout.
 */
export function becomeUser(uid: string | undefined): void {
  if (uid === undefined) return
  process.setgroups?.([])
  process.setgid?.(Number(uid))
  process.setuid?.(Number(uid))
}
