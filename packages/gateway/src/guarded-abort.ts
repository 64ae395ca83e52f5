type Handler = ((event: Event) => unknown) | { handleEvent(event: Event): unknown }

/**
 * An abort whose listeners cannot end the process: what a listener throws, Node throws again where nobody can catch it, so
 * that a peer who leaves would end a gateway whose author made a mistake.
 *
 * @param run calls a listener, and keeps to itself what that throws
 */
export function createGuardedAbort(run: (listener: () => unknown) => void): AbortController {
  const controller = new AbortController()
  const { signal } = controller
  const guarded = new WeakMap<Handler, (event: Event) => void>()
  const guard = (handler: Handler) => {
    const known = guarded.get(handler)
    if (known !== undefined) return known
    const calling = (event: Event) =>
      run(() => (typeof handler === 'function' ? handler.call(signal, event) : handler.handleEvent(event)))
    guarded.set(handler, calling)
    return calling
  }
  const add = signal.addEventListener
  const remove = signal.removeEventListener
  let onAbort: AbortSignal['onabort'] = null
  Object.defineProperties(signal, {
    addEventListener: {
      value: (type: string, handler: Handler, options?: { once?: boolean } | boolean) =>
        add.call(signal, type, guard(handler), options),
    },
    removeEventListener: {
      value: (type: string, handler: Handler, options?: EventListenerOptions | boolean) =>
        remove.call(signal, type, guard(handler), options),
    },
    onabort: {
      get: () => onAbort,
      set: (handler: AbortSignal['onabort']) => {
        onAbort = handler
      },
    },
  })
  add.call(signal, 'abort', event => {
    const handler = onAbort
    if (typeof handler === 'function') run(() => handler.call(signal, event))
  })
  return controller
}
