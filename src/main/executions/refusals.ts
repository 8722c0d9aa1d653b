import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log/log.js'
import type { ExecutionRecord } from '../../store/record.js'
import { type Store, StoreUnavailable } from '../../store/store.js'
import type { RefusalReason } from '../../threads/messages.js'
import type { Counts } from '../metrics/counts.js'
import type { ExecutionTrace } from '../tracing/execution-trace.js'

/** Bounds for a flood of refusals, in memory and towards the store: 2,000 a second. */
const MOST_WAITING = 2_000
const BATCH = 200
const BETWEEN_MS = 100
const RETRY_MS = 1_000
/** Names in the control plane are shorter; an unknown name may be anything. */
const NAME_MAX = 128

/** An execution that was asked for. */
export interface AskedExecution {
  /** Empty: the agent gives one. */
  readonly id: string
  readonly functionName: string
  /** Undefined: nobody records its spans. */
  readonly trace: ExecutionTrace | undefined
}

export interface RefusedExecution {
  readonly id: string
  readonly functionName: string
  readonly error: string
}

/**
 * Tells why executions were refused. Records it of async ones: the control plane ignores the answer, and a later
 * GetExecution would find nothing. Beyond MOST_WAITING the oldest are dropped. Main thread only.
 */
export class Refusals {
  /** By id, oldest first. */
  private readonly waiting = new Map<string, ExecutionRecord>()
  private givenUp = 0
  private draining: Promise<void> | undefined
  private readonly closing = new AbortController()

  constructor(
    private readonly agentId: string,
    private readonly store: Pick<Store, 'refuse'>,
    private readonly log: Log,
    /** Absent: nothing is counted. */
    private readonly counts?: Counts,
  ) {}

  /** Counts it, and tells the log and whoever records spans. */
  tell({ id, functionName, trace }: AskedExecution, reason: RefusalReason, error: string): void {
    this.counts?.refused(reason)
    const [name, execution] = [functionName.slice(0, NAME_MAX), id.slice(0, NAME_MAX)]
    this.log.debug({ function: name, ...(id !== '' && { execution }), reason, error }, 'execution refused')
    trace?.refused(reason, { execution_id: execution, function_name: name, status: 'failed', error })
  }

  /** Records it. */
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

  /** Tries once to store what waits. */
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
      // An id that was refused again in the meantime has a newer record.
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
      this.log.error({ err: error }, 'refused executions are not recorded: a defect')
      return true
    }
  }

  private logGivenUp(): void {
    if (this.givenUp === 0) return
    this.log.warn({ executions: this.givenUp }, 'too many refused executions: some are not recorded')
    this.givenUp = 0
  }
}
