import type { WriteQueue } from '../../store/queue/write-queue.js'
import type { ExecutionRecord } from '../../store/record.js'
import { StoreUnavailable } from '../../store/store.js'
import { ID_TAKEN, type Refusal } from '../../threads/messages.js'
import { figures, store } from '../thread.js'

/**
 * Records an async execution as begun. While the store is unavailable, the record waits on disk, within bounds. Answers
 * a refusal where neither takes it.
 */
export async function recordBegin(queue: WriteQueue, record: ExecutionRecord): Promise<Refusal | undefined> {
  if (queue.full) {
    const error = 'store unavailable: its backlog on this agent is full; try again when the store is back'
    return { kind: 'refused', reason: 'backlog_full', error, idTaken: false }
  }
  if (!queue.away) {
    const begun = await answer(store.begin(record))
    if (begun !== undefined) return begun ? undefined : ID_TAKEN
  }
  if (await queue.push({ kind: 'begin', record }).durable()) return undefined
  const error = 'store unavailable, and the disk of this agent does not take what waits for it; try again'
  const status_at = new Date().toISOString()
  queue.push({ kind: 'end', record: { ...record, status: 'failed', error, status_at, refused: true } })
  return { kind: 'refused', reason: 'disk_failed', error, idTaken: false }
}

/** The store's answer; undefined where it is unavailable or too slow. */
async function answer(question: Promise<boolean>): Promise<boolean | undefined> {
  const begun = performance.now()
  try {
    const answered = await question
    figures?.stored(1, performance.now() - begun)
    return answered
  } catch (error) {
    if (error instanceof StoreUnavailable) return undefined
    throw error
  }
}
