import { randomFillSync } from 'node:crypto'
import type { ExecutionRecord } from '../../store/record.js'
import { isSampled, type TraceContext } from './trace-context.js'

/** When an execution went through what it goes through, by monotonicMs; undefined: it did not. */
export interface ExecutionTimes {
  readonly begun: number
  readonly slot: number | undefined
  readonly started: number | undefined
  readonly ended: number | undefined
  readonly settled: number | undefined
}

/** An execution whose spans are complete. */
export interface TracedExecution {
  readonly trace: ExecutionTrace
  readonly record: ExecutionRecord
  readonly times: ExecutionTimes
}

/** Identifies the spans of one execution. */
export class ExecutionTrace {
  readonly spanId = newId(8)
  /** Of the part in which the process runs: the parent of the function's own spans. */
  readonly runId = newId(8)

  constructor(
    readonly traceId: string,
    /** The caller's; absent: the trace begins here. */
    readonly parent: TraceContext | undefined,
    readonly async: boolean,
    /** Takes the execution once nothing more happens to it. */
    readonly done: (execution: TracedExecution) => void,
  ) {}

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
  done: (execution: TracedExecution) => void,
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
