import { randomFillSync } from 'node:crypto'
import type { ExecutionRecord } from '../../store/record.js'
import type { RefusalReason } from '../../threads/messages.js'
import type { SpanIds, TraceContext } from '../../threads/span-ids.js'
import { monotonicMs } from '../../time/monotonic.js'
import { isSampled } from './trace-context.js'

/** When an execution went through what it goes through, by monotonicMs; undefined: it did not. */
export interface ExecutionTimes {
  readonly begun: number
  readonly slot: number | undefined
  readonly started: number | undefined
  readonly ended: number | undefined
  readonly settled: number | undefined
}

/** What spans say of an execution. */
export type TracedRecord = Pick<ExecutionRecord, 'execution_id' | 'function_name' | 'status' | 'error'>

/** An execution whose spans are complete. */
export interface TracedExecution {
  readonly trace: ExecutionTrace
  readonly record: TracedRecord
  readonly times: ExecutionTimes
  /** Why it was not begun; absent: it was. */
  readonly refused?: RefusalReason
}

/** The spans of one execution. */
export class ExecutionTrace {
  private readonly asked = monotonicMs()

  constructor(
    readonly ids: SpanIds,
    readonly async: boolean,
    /** Whether an earlier agent has begun it, of whose times only the first is known. */
    readonly adopted: boolean,
    /** Takes the execution once nothing more happens to it. */
    readonly done: (execution: TracedExecution) => void,
  ) {}

  /** It is not begun. Nothing more happens to it. */
  refused(reason: RefusalReason, record: TracedRecord): void {
    const ended = monotonicMs()
    const times = { begun: this.asked, slot: undefined, started: undefined, ended, settled: ended }
    this.done({ trace: this, record, times, refused: reason })
  }

  /** What the function finds of the trace. */
  get inside(): TraceContext {
    const { traceId, runId, parent } = this.ids
    const { flags = '01', state } = parent ?? {}
    return { traceId, spanId: runId, flags, ...(state !== undefined && { state }) }
  }
}

/** The trace of an execution that begins now; undefined where its caller records none. */
export function beginTrace(
  parent: TraceContext | undefined,
  async: boolean,
  done: (execution: TracedExecution) => void,
): ExecutionTrace | undefined {
  if (parent && !isSampled(parent)) return undefined
  const ids = { traceId: parent?.traceId ?? newId(16), spanId: newId(8), runId: newId(8), ...(parent && { parent }) }
  return new ExecutionTrace(ids, async, false, done)
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
