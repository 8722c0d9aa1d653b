import type { ExecutionRecord } from '../../store/record.js'
import type { FromExecution } from '../../threads/messages.js'
import { Lost, type Output } from './output.js'
import { recordJson } from './record-json.js'

/** `transfer`: memory that is moved, not copied. */
export type Send = (message: FromExecution, transfer?: readonly ArrayBuffer[]) => void

/** Answers readers of an execution that is not settled: snapshots for GetExecution, output ranges for FollowOutput. */
export class Readers {
  private resolveFinal: (record: ExecutionRecord) => void = () => {}
  /** Resolves some time after the output's end: the record also says how the process ended. */
  private readonly final = new Promise<ExecutionRecord>((resolve) => {
    this.resolveFinal = resolve
  })
  /** Requests of followers that still await an answer. */
  private readonly following = new Set<number>()
  private idle: (() => void) | undefined

  constructor(
    private readonly send: Send,
    private readonly output: Output,
    /** The record as it may be shown now. */
    private readonly record: () => ExecutionRecord | Promise<ExecutionRecord>,
  ) {}

  async snapshot(request: number): Promise<void> {
    try {
      const json = await recordJson({ ...(await this.record()), output_bytes: this.output.length }, this.output)
      // A copy, since a small buffer shares its memory with others.
      const data = new Uint8Array(json)
      this.send({ kind: 'snapshot', request, data }, [data.buffer])
    } catch {
      // Part of the output is only in the store, which is unavailable.
      this.send({ kind: 'unreadable', request })
    }
  }

  async read(request: number, offset: number): Promise<void> {
    this.following.add(request)
    await this.output.reaches(offset)
    if (!this.following.has(request)) return
    if (offset < this.output.length) {
      try {
        const read = await this.output.read(offset)
        if (read instanceof Lost) {
          this.send({ kind: 'output', request, part: { kind: 'lost', bytes: read.bytes } })
        } else {
          const data = new Uint8Array(read)
          this.send({ kind: 'output', request, part: { kind: 'bytes', offset, data } }, [data.buffer])
        }
      } catch {
        this.send({ kind: 'unreadable', request })
      }
    } else {
      this.send({ kind: 'output', request, part: { kind: 'end', record: await this.final } })
      this.leave(request)
    }
  }

  leave(request: number): void {
    this.following.delete(request)
    if (this.following.size === 0) this.idle?.()
  }

  /**
   * The execution has ended and its record is durable: sends followers the rest of the output, then the record.
   * Resolves when no follower is left.
   */
  async end(record: ExecutionRecord): Promise<void> {
    this.resolveFinal(record)
    if (this.following.size > 0) await new Promise<void>((resolve) => (this.idle = resolve))
  }
}
