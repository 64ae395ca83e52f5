/** A procedure that is written once and runs for both kinds of callers: each yield is a wait, in milliseconds. */
export type Steps<Result> = Generator<number, Result, void>

/** Run to the end, blocking this thread during the waits. */
export function runSync<Result>(steps: Steps<Result>): Result {
  const never = new Int32Array(new SharedArrayBuffer(4))
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    Atomics.wait(never, 0, 0, step.value)
  }
}

/** Run to the end, free during the waits. Aborting ends the wait and rejects with the signal's reason. */
export async function runAsync<Result>(steps: Steps<Result>, signal?: AbortSignal): Promise<Result> {
  let finished = false
  try {
    for (;;) {
      signal?.throwIfAborted()
      const step = steps.next()
      if (step.done) {
        finished = true
        return step.value
      }
      await wait(step.value, signal)
    }
  } finally {
    // Runs the procedure's own `finally`, which releases what it holds.
    if (!finished) steps.return(undefined as never)
  }
}

function wait(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    signal?.addEventListener('abort', done)
  })
}
