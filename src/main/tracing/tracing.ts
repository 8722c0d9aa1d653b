import type { TracesConfig } from '../../config/config.js'
import type { Log } from '../../log/log.js'
import type { SpanIds, TraceContext } from '../../threads/span-ids.js'
import { beginTrace, ExecutionTrace } from './execution-trace.js'

/** Records the spans of executions. Main thread only. */
export interface Tracing {
  /** Of an execution that begins now; undefined where its caller records none. */
  begin(parent: TraceContext | undefined, async: boolean): ExecutionTrace | undefined
  /** Of an async one that an earlier agent has begun. */
  resume(ids: SpanIds): ExecutionTrace
  /** Executions whose spans nobody took. */
  readonly dropped: number
  /** Sends what waits, for at most some seconds. */
  close(): Promise<void>
}

/** Sends spans to this collector. */
export async function startTracing(config: TracesConfig, agentId: string, log: Log): Promise<Tracing> {
  // Loaded here only: most agents send none.
  const { TraceSender } = await import('./trace-sender.js')
  const sender = new TraceSender(config, agentId, log)
  return {
    begin: (parent, async) => beginTrace(parent, async, sender.add),
    resume: (ids) => new ExecutionTrace(ids, true, true, sender.add),
    get dropped() {
      return sender.dropped
    },
    close: () => sender.close(),
  }
}
