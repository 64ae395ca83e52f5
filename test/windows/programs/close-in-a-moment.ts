import { Worker } from 'node:worker_threads'

/** Has a thread close this descriptor in so many ms, also while this one is blocked. Whoever called ends the thread. */
export async function closeInAMoment(descriptor: number, afterMs: number): Promise<Worker> {
  const letGo = new Worker(
    `const { closeSync } = require('node:fs')
     const { workerData, parentPort } = require('node:worker_threads')
     const { descriptor, afterMs } = workerData
     parentPort.once('message', () => setTimeout(() => closeSync(descriptor), afterMs))`,
    { eval: true, workerData: { descriptor, afterMs } },
  )
  await new Promise(resolve => letGo.once('online', resolve))
  letGo.postMessage('now')
  return letGo
}
