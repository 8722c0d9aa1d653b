import type { ExecutionRecord } from '../../store/record.js'
import type { FromExecution } from '../../threads/messages.js'
import { Lost, type Output } from './output.js'
import { recordJson } from './record-json.js'

/** Answers those who look at an execution while it is alive: snapshots for GetExecution, stretches for FollowOutput. */
export class Readers {
  private resolveFinal: (record: ExecutionRecord) => void = () => {}
  /** Settles a little after the output has ended: the record tells how the process did. */
  private readonly final = new Promise<ExecutionRecord>((resolve) => {
    this.resolveFinal = resolve
  })
  /** Followers that have asked and not been answered for the last time. */
  private readonly following = new Set<number>()
  private idle: (() => void) | undefined

  constructor(
    private readonly send: (message: FromExecution, transfer?: readonly ArrayBuffer[]) => void,
    private readonly output: Output,
    /** As it may be shown now. */
    private readonly record: () => ExecutionRecord | Promise<ExecutionRecord>,
  ) {}

  async snapshot(request: number): Promise<void> {
    try {
      const json = await recordJson({ ...(await this.record()), output_bytes: this.output.length }, this.output)
      // A copy of its own, since a small buffer shares its memory with others.
      const data = new Uint8Array(json)
      this.send({ kind: 'snapshot', request, data }, [data.buffer])
    } catch {
      // Part of the output is in the store alone, and that is away.
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

  /** The execution has ended, and its outcome is kept: followers get what they still lack, then the record. Resolves when none is left. */
  async end(record: ExecutionRecord): Promise<void> {
    this.resolveFinal(record)
    if (this.following.size > 0) await new Promise<void>((resolve) => (this.idle = resolve))
  }
}
