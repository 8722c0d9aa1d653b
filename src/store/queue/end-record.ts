import type { ExecutionRecord } from '../record.js'
import type { PendingWrite } from './pending.js'
import type { WriteQueue } from './write-queue.js'

export interface RecordEnd {
  /** Resolves once it is in the store or on disk, so that it outlives this process. */
  readonly kept: Promise<void>
  /** Resolves once it is in the store. */
  readonly stored: Promise<void>
}

/** Ends a record. On the queue's thread. */
export function endRecord(queue: WriteQueue, record: ExecutionRecord): RecordEnd {
  let keep: () => void = () => {}
  const kept = new Promise<void>((resolve) => {
    keep = resolve
  })
  const stored = new Promise<void>((resolve) => {
    const push = () => {
      // Damaged on disk, it is pushed again.
      const end = queue.push({ kind: 'end', record }, (bytes) => (bytes ? resolve() : push()))
      void untilKept(end).then(keep)
    }
    push()
  })
  return { kept, stored }
}

async function untilKept(write: PendingWrite): Promise<void> {
  while (!(await write.kept()));
}
