import type { Wiring } from '../wiring.ts'

/** Says how far a copy is, where somebody waits at a terminal for more than one step of it. */
export function copyProgress(
  wiring: Wiring,
  verb: string,
): { readonly onProgress: (remaining: number, total: number) => void; readonly end: () => void } {
  let shown = false
  const shows = wiring.interactive && !wiring.json
  return {
    onProgress: (remaining, total) => {
      if (!shows || total === 0 || remaining === 0) return
      shown = true
      wiring.progress(`${verb} ${Math.floor(((total - remaining) * 100) / total)} %`)
    },
    end: () => {
      if (shown) wiring.progress(null)
    },
  }
}
