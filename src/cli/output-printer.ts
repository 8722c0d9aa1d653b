import { setTimeout as delay } from 'node:timers/promises'
import { status } from '@grpc/grpc-js'
import type { OperationsClient } from '../proto.js'
import { lostMark } from '../store/gaps.js'
import type { ExecutionRecord } from '../store/record.js'
import { isServiceError } from './failure.js'
import { writeOut } from './stdout.js'

/** Interval of retries while a sync execution has not begun. */
const RETRY_MS = 25

/** Prints the output of one execution to stdout: each byte once, in whichever answer it comes. */
export class OutputPrinter {
  private printed = 0

  constructor(
    private readonly operations: OperationsClient,
    private readonly id: string,
  ) {}

  /**
   * Prints the output as it comes; resolves with the record once the execution has ended. Rejects with a ServiceError.
   */
  async follow(stop?: AbortSignal): Promise<ExecutionRecord> {
    for await (const record of this.stream(stop)) if (record) return record
    throw new Error(`the agent ended the output of ${this.id} without its record`)
  }

  /** Prints the first `end` bytes of the output. */
  async printUpTo(end: number): Promise<void> {
    if (end === 0) return
    for await (const record of this.stream()) if (record || this.printed >= end) return
  }

  /**
   * Prints what comes until `stop`. Errors are ignored: the caller still gets the call's answer, with the whole output.
   */
  async followUntil(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      try {
        await this.follow(stop)
        return
      } catch (error) {
        if (!isServiceError(error) || error.code !== status.NOT_FOUND) return
      }
      await delay(RETRY_MS, undefined, { signal: stop }).catch(() => {})
    }
  }

  /** Prints those of the bytes, which begin at `offset` of the output, that were not printed before. */
  async print(bytes: Uint8Array, offset = 0): Promise<void> {
    if (offset > this.printed) await writeOut(lostMark(offset - this.printed))
    const fresh = bytes.subarray(Math.max(0, this.printed - offset))
    this.printed = Math.max(this.printed, offset + bytes.length)
    if (fresh.length > 0) await writeOut(fresh)
  }

  private async ended(record: ExecutionRecord): Promise<ExecutionRecord> {
    // Bytes lost at the end, which no chunk shows.
    if (record.output_lost_bytes) await this.print(new Uint8Array(), record.output_bytes)
    return record
  }

  /** Prints each chunk, then yields undefined, or the record at the end. */
  private async *stream(stop?: AbortSignal): AsyncGenerator<ExecutionRecord | undefined> {
    const call = this.operations.FollowOutput({ execution_id: this.id, offset: this.printed })
    // A call cancelled after its last read still emits an error.
    call.on('error', () => {})
    const cancel = (): void => call.cancel()
    stop?.addEventListener('abort', cancel)
    try {
      for await (const { chunk, record } of call) {
        if (chunk) await this.print(chunk.data, chunk.offset)
        yield record && (await this.ended(JSON.parse(record.toString()) as ExecutionRecord))
      }
    } finally {
      stop?.removeEventListener('abort', cancel)
      cancel()
    }
  }
}
