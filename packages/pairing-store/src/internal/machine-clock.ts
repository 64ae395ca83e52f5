/** The machine's time, in ms since the epoch. What is stored goes by the clock of the options; the file system goes by this. */
export function machineMs(): number {
  return Date.now()
}

/** Ms that never jump: for measuring how long something takes. */
export function stopwatchMs(): number {
  return performance.now()
}
