import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log/log.js'
import type { ExecutionRecord } from '../../store/record.js'
import { type Store, StoreUnavailable } from '../../store/store.js'

/** A flood of them neither fills the memory nor keeps the store and this thread from what runs: 2,000 a second. */
const MOST_WAITING = 2_000
const BATCH = 200
const BETWEEN_MS = 100
const RETRY_MS = 1_000
/** The control plane's names are shorter; an unknown one may be anything. */
const NAME_MAX = 128

export interface RefusedExecution {
  readonly id: string
  readonly functionName: string
  readonly error: string
}

/**
 * Leaves a record of why each async execution was refused: the control plane's async path does not read the answer, and
 * whoever asks for the execution later would hear that there is none. As many as the store takes beside its work: where
 * too many wait, the oldest are given up. Main thread only.
 */
export class Refusals {
  /** By id, the oldest first. */
  private readonly waiting = new Map<string, ExecutionRecord>()
  private givenUp = 0
  private draining: Promise<void> | undefined
  private readonly closing = new AbortController()

  constructor(
    private readonly agentId: string,
    private readonly store: Pick<Store, 'refuse'>,
    private readonly log: Log,
  ) {}

  add({ id, functionName, error }: RefusedExecution): void {
    const now = new Date().toISOString()
    this.waiting.delete(id)
    this.waiting.set(id, {
      execution_id: id,
      agent_id: this.agentId,
      function_name: functionName.slice(0, NAME_MAX),
      status: 'failed',
      error,
      started_at: now,
      status_at: now,
      refused: true,
    })
    if (this.waiting.size > MOST_WAITING) this.giveUpOldest()
    this.draining ??= this.drain().finally(() => {
      this.draining = undefined
    })
  }

  /** Stores what waits, if the store takes it now. */
  async close(): Promise<void> {
    this.closing.abort()
    await this.draining
    await this.store.refuse([...this.waiting.values()]).catch(() => {})
  }

  private giveUpOldest(): void {
    const [oldest] = this.waiting.keys()
    this.waiting.delete(oldest as string)
    this.givenUp++
  }

  private async drain(): Promise<void> {
    while (this.waiting.size > 0 && !this.closing.signal.aborted) {
      const batch = [...this.waiting.values()].slice(0, BATCH)
      const stored = await this.stored(batch)
      // One that was refused once more meanwhile has another record.
      if (stored) for (const r of batch) if (this.waiting.get(r.execution_id) === r) this.waiting.delete(r.execution_id)
      if (stored) this.logGivenUp()
      await sleep(stored ? BETWEEN_MS : RETRY_MS, undefined, { signal: this.closing.signal, ref: false }).catch(
        () => {},
      )
    }
  }

  private async stored(batch: readonly ExecutionRecord[]): Promise<boolean> {
    try {
      await this.store.refuse(batch)
      return true
    } catch (error) {
      if (error instanceof StoreUnavailable) return false
      this.log.error({ err: error }, 'refused executions are not recorded')
      return true
    }
  }

  private logGivenUp(): void {
    if (this.givenUp === 0) return
    this.log.warn({ executions: this.givenUp }, 'of so many refused executions no record says why: there were too many')
    this.givenUp = 0
  }
}
