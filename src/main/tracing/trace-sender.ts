import type { TracesConfig } from '../../config/config.js'
import type { Log } from '../../log/log.js'
import { Backoff } from '../../time/backoff.js'
import { Collector } from './collector.js'
import type { TracedExecution } from './execution-trace.js'
import { encodeTraces } from './otlp.js'

/** Executions whose spans may wait; half a KiB each. */
const WAITING_MAX = 2_000
const BATCH = 100
/** How long an execution waits for company. */
const DELAY_MS = 1_000
const FIRST_RETRY_MS = 1_000
const LONGEST_RETRY_MS = 30_000
/** For what waits at the end. */
const CLOSE_MS = 2_000

/**
 * Sends the spans of executions to a collector, by OTLP over HTTP. Nothing waits for it: what a collector does not take
 * is dropped and counted. Main thread only.
 */
export class TraceSender {
  /** Executions whose spans were dropped. */
  dropped = 0
  private waiting: TracedExecution[] = []
  private timer: NodeJS.Timeout | undefined
  private sending: Promise<void> | undefined
  private readonly closing = new AbortController()
  private readonly collector: Collector
  private readonly backoff = new Backoff(FIRST_RETRY_MS, LONGEST_RETRY_MS)
  /** How long to wait before the next attempt, where the last one has failed. */
  private retryMs: number | undefined
  private droppedBefore = 0

  constructor(
    private readonly config: TracesConfig,
    private readonly agentId: string,
    private readonly log: Log,
  ) {
    this.collector = new Collector(config)
  }

  readonly add = (trace: TracedExecution): void => {
    if (this.waiting.length >= WAITING_MAX) {
      this.dropped++
      return
    }
    this.waiting.push(trace)
    if (this.sending) return
    if (this.waiting.length >= BATCH && this.retryMs === undefined) this.send()
    else this.wait(DELAY_MS)
  }

  /** Sends what waits, for a short time. */
  async close(): Promise<void> {
    clearTimeout(this.timer)
    const end = setTimeout(() => this.closing.abort(), CLOSE_MS)
    await this.sending
    while (this.waiting.length > 0 && !this.closing.signal.aborted && this.retryMs === undefined) {
      this.send()
      await this.sending
    }
    clearTimeout(end)
    clearTimeout(this.timer)
    this.collector.close()
    this.dropped += this.waiting.length
    if (this.dropped > this.droppedBefore) this.log.warn({ executions: this.dropped }, 'traces were dropped')
  }

  private wait(ms: number): void {
    this.timer ??= setTimeout(() => this.send(), ms).unref()
  }

  private send(): void {
    clearTimeout(this.timer)
    this.timer = undefined
    if (this.waiting.length === 0) return
    const batch = this.waiting.splice(0, BATCH)
    this.sending = this.post(batch).finally(() => {
      this.sending = undefined
      if (this.retryMs !== undefined) this.wait(this.retryMs)
      else if (this.waiting.length >= BATCH) this.send()
      else if (this.waiting.length > 0) this.wait(DELAY_MS)
    })
  }

  /** Never rejects. */
  private async post(batch: TracedExecution[]): Promise<void> {
    const taking = await this.collector.send(encodeTraces(batch, this.agentId), this.closing.signal)
    if (taking.kind === 'taken') {
      this.taken()
      return
    }
    if (this.retryMs === undefined)
      this.log.warn(
        { endpoint: this.config.endpoint, cause: taking.cause },
        'traces are not taken: they wait in memory, up to a bound',
      )
    this.retryMs = this.backoff.failed()
    if (taking.kind === 'refused') {
      this.dropped += batch.length
      return
    }
    // They are sent again, with what comes meanwhile.
    this.retryMs = Math.max(this.retryMs, taking.pauseMs ?? 0)
    this.waiting = [...batch, ...this.waiting]
    this.dropped += Math.max(0, this.waiting.length - WAITING_MAX)
    this.waiting.length = Math.min(this.waiting.length, WAITING_MAX)
  }

  private taken(): void {
    if (this.retryMs !== undefined) {
      const dropped = this.dropped - this.droppedBefore
      this.log.info({ endpoint: this.config.endpoint, dropped }, 'traces are taken again')
    }
    this.retryMs = undefined
    this.backoff.succeeded()
    this.droppedBefore = this.dropped
  }
}
