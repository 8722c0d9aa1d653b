import { randomFillSync } from 'node:crypto'
import type { ExecutionRecord } from '../../store/record.js'
import { isSampled, type TraceContext } from './trace-context.js'

/** What an execution goes through, in this order; some are left out. */
export type Moment = 'slot' | 'started' | 'ended' | 'settled'

/** One execution's times, for its spans. */
export class ExecutionTrace {
  readonly spanId = newId(8)
  /** Of the part in which the process runs: the parent of the function's own spans. */
  readonly runId = newId(8)
  readonly begun = performance.now()
  readonly moments: { [M in Moment]?: number } = {}
  record: ExecutionRecord | undefined

  constructor(
    readonly traceId: string,
    /** The caller's; absent: the trace begins here. */
    readonly parent: TraceContext | undefined,
    readonly async: boolean,
    private readonly done: (trace: ExecutionTrace) => void,
  ) {}

  /** The first time counts. */
  mark(moment: Moment): void {
    this.moments[moment] ??= performance.now()
  }

  ended(record: ExecutionRecord): void {
    this.mark('ended')
    this.record = record
  }

  /** Nothing more happens to it. One that was refused, or is left to the next agent, has no spans. */
  settled(): void {
    this.mark('settled')
    if (this.record) this.done(this)
  }

  /** What the function finds of the trace. */
  get inside(): TraceContext {
    const { flags = '01', state } = this.parent ?? {}
    return { traceId: this.traceId, spanId: this.runId, flags, ...(state !== undefined && { state }) }
  }
}

/** The trace of an execution that begins now; undefined where its caller records none. */
export function beginTrace(
  parent: TraceContext | undefined,
  async: boolean,
  done: (trace: ExecutionTrace) => void,
): ExecutionTrace | undefined {
  if (parent && !isSampled(parent)) return undefined
  return new ExecutionTrace(parent?.traceId ?? newId(16), parent, async, done)
}

/** Random bytes, drawn many at a time: a draw costs as much as all else of a trace. */
const drawn = Buffer.alloc(4096)
let used = drawn.length

function newId(bytes: number): string {
  if (used + bytes > drawn.length) {
    randomFillSync(drawn)
    used = 0
  }
  used += bytes
  return drawn.toString('hex', used - bytes, used)
}
