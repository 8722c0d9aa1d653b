import { Patience } from '../patience.js'
import type { ExecutionRecord } from '../store/record.js'
import { StoreUnavailable } from '../store/store.js'
import { queue, store } from './thread.js'

export type Reservation = { readonly kind: 'reserved' } | { readonly kind: 'refused'; readonly error: string }

/** How long a new execution waits for the store before it takes it for away. */
const BEGIN_PATIENCE_MS = 500
const LOOKUP_PATIENCE_MS = 50

const RESERVED: Reservation = { kind: 'reserved' }
const TAKEN: Reservation = { kind: 'refused', error: 'execution ID already exists' }

/** Lookups without an answer: while there is one, the store is not asked again. */
let unanswered = 0

/** Records an async execution as begun. Where the store is away, the record waits for it on disk, within bounds. */
export async function recordBegin(record: ExecutionRecord): Promise<Reservation> {
  if (queue.full) {
    const error = 'store unavailable: its backlog on this agent is full; try again when the store is back'
    return { kind: 'refused', error }
  }
  if (!queue.away) {
    const begun = await answer(store.begin(record), BEGIN_PATIENCE_MS)
    if (begun !== undefined) return begun ? RESERVED : TAKEN
  }
  if (await queue.push({ kind: 'begin', record }).kept()) return RESERVED
  const error = 'store unavailable, and the disk of this agent does not take what waits for it; try again'
  const status_at = new Date().toISOString()
  queue.push({ kind: 'end', record: { ...record, status: 'failed', error, status_at, refused: true } })
  return { kind: 'refused', error }
}

/** Whether a record has that id. A store that does not answer at once is not waited for: sync executions run without it. */
export async function checkId(id: string): Promise<Reservation> {
  if (queue.away || unanswered > 0) return RESERVED
  const taken = await answer(store.exists(id), LOOKUP_PATIENCE_MS)
  return taken ? TAKEN : RESERVED
}

/** The store's answer; undefined where it is away or does not answer in time. */
async function answer(question: Promise<boolean>, patienceMs: number): Promise<boolean | undefined> {
  let patience: Patience | undefined
  const impatience = new Promise<undefined>((resolve) => {
    patience = new Patience(patienceMs, () => {
      unanswered++
      question.catch(() => {}).finally(() => unanswered--)
      resolve(undefined)
    })
  })
  try {
    return await Promise.race([question, impatience])
  } catch (error) {
    if (error instanceof StoreUnavailable) return undefined
    throw error
  } finally {
    patience?.end()
  }
}
