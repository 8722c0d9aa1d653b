import type { Log } from '../../log/log.js'
import type { ExecutionTrace } from './execution-trace.js'
import { encodeTraces } from './otlp.js'

/** Executions whose spans may wait; half a KiB each. */
const WAITING_MAX = 2_000
const BATCH = 100
/** How long an execution waits for company. */
const DELAY_MS = 1_000
const LIMIT_MS = 10_000
const RETRY_MS = 1_000
const RETRY_MAX_MS = 30_000
/** For what waits at the end. */
const CLOSE_MS = 2_000
/** OTLP/HTTP, "Retryable Response Codes"; others mean that these spans will never be taken. */
const RETRYABLE: readonly number[] = [429, 502, 503, 504]

/**
 * Sends the spans of executions to a collector, by OTLP over HTTP. Nothing waits for it: what a collector does not take
 * is dropped and counted. Main thread only.
 */
export class TraceSender {
  /** Executions whose spans were dropped. */
  dropped = 0
  private waiting: ExecutionTrace[] = []
  private timer: NodeJS.Timeout | undefined
  private sending: Promise<void> | undefined
  private readonly closing = new AbortController()
  /** Consecutive attempts that have failed. */
  private failures = 0
  private droppedBefore = 0

  constructor(
    private readonly endpoint: string,
    private readonly agentId: string,
    private readonly log: Log,
  ) {}

  readonly add = (trace: ExecutionTrace): void => {
    if (this.waiting.length >= WAITING_MAX) {
      this.dropped++
      return
    }
    this.waiting.push(trace)
    if (this.sending) return
    if (this.waiting.length >= BATCH && this.failures === 0) this.send()
    else this.wait(DELAY_MS)
  }

  /** Sends what waits, for a short time. */
  async close(): Promise<void> {
    clearTimeout(this.timer)
    const end = setTimeout(() => this.closing.abort(), CLOSE_MS)
    await this.sending
    while (this.waiting.length > 0 && !this.closing.signal.aborted && this.failures === 0) {
      this.send()
      await this.sending
    }
    clearTimeout(end)
    clearTimeout(this.timer)
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
      if (this.failures > 0) this.wait(Math.min(RETRY_MAX_MS, RETRY_MS * 2 ** (this.failures - 1)))
      else if (this.waiting.length >= BATCH) this.send()
      else if (this.waiting.length > 0) this.wait(DELAY_MS)
    })
  }

  /** Never rejects. */
  private async post(batch: ExecutionTrace[]): Promise<void> {
    try {
      const response = await fetch(this.endpoint, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: encodeTraces(batch, this.agentId),
        signal: AbortSignal.any([this.closing.signal, AbortSignal.timeout(LIMIT_MS)]),
      })
      await response.body?.cancel()
      if (response.ok) this.taken()
      else if (RETRYABLE.includes(response.status)) this.failed(batch, `HTTP ${response.status}`)
      else this.refused(batch, `HTTP ${response.status}`)
    } catch (error) {
      this.failed(batch, causeOf(error as Error))
    }
  }

  private taken(): void {
    if (this.failures > 0) {
      const dropped = this.dropped - this.droppedBefore
      this.log.info({ endpoint: this.endpoint, dropped }, 'traces are taken again')
    }
    this.failures = 0
    this.droppedBefore = this.dropped
  }

  /** They are tried again, with what comes meanwhile. */
  private failed(batch: ExecutionTrace[], cause: string): void {
    this.report(cause)
    this.waiting = [...batch, ...this.waiting]
    this.dropped += Math.max(0, this.waiting.length - WAITING_MAX)
    this.waiting.length = Math.min(this.waiting.length, WAITING_MAX)
  }

  private refused(batch: ExecutionTrace[], cause: string): void {
    this.report(cause)
    this.dropped += batch.length
  }

  private report(cause: string): void {
    if (this.failures++ === 0)
      this.log.warn({ endpoint: this.endpoint, cause }, 'traces are not taken: they wait in memory, up to a bound')
  }
}

/** What fetch reports is in its cause. */
function causeOf({ name, message, cause }: Error): string {
  if (name === 'TimeoutError') return `no answer within ${LIMIT_MS / 1000} s`
  const { code, message: why } = (cause ?? {}) as NodeJS.ErrnoException
  return code ?? why ?? message
}
