import type { ExecutionRecord } from '../record.js'
import { untilDurable } from './pending.js'
import type { WriteQueue } from './write-queue.js'

export interface RecordEnd {
  /** Resolves once the record is in the store or on disk, so that it survives this process. */
  readonly durable: Promise<void>
  /** Resolves once the record is in the store. */
  readonly stored: Promise<void>
}

/** Stores the final record. Call on the queue's thread. */
export function endRecord(queue: WriteQueue, record: ExecutionRecord): RecordEnd {
  let markDurable: () => void = () => {}
  const durable = new Promise<void>((resolve) => {
    markDurable = resolve
  })
  const stored = new Promise<void>((resolve) => {
    const push = () => {
      // If it was damaged on disk it is pushed again.
      const end = queue.push({ kind: 'end', record }, (bytes) => (bytes ? resolve() : push()))
      void untilDurable(end).then(markDurable)
    }
    push()
  })
  return { durable, stored }
}
