// Writes the golden vectors of holdfast/1: `node --conditions=source write-holdfast-proof.ts > holdfast-proof.json`.
import { holdfastVectors } from '../holdfast-vectors.ts'

process.stdout.write(`${JSON.stringify(holdfastVectors, null, 2)}\n`)
