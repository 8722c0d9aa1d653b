import type { ProcessEnd } from '../os/platform.js'
import type { ExecutionRecord, ExecutionStatus } from '../store/record.js'
import type { EndCause } from './messages.js'

/** What became of the process. */
export type ProcessResult = { readonly durationMs: number } & (
  | ProcessEnd
  | { readonly kind: 'not started'; readonly error: string }
  /** The execution was ended while it waited for its slot. */
  | { readonly kind: 'never started' }
)

/** The final record: the cause that won decides status and error, and without one the way the process ended. */
export function endedRecord(
  running: ExecutionRecord,
  result: ProcessResult,
  cause: EndCause | undefined,
  timeoutSeconds: number,
  outputBytes: number,
): ExecutionRecord {
  const [status, error] = cause ? causeVerdict(cause, timeoutSeconds) : resultVerdict(result)
  const durationMs = Math.round(result.durationMs)
  return {
    ...running,
    status,
    ...(error && { error }),
    ...(durationMs > 0 && { duration_ms: durationMs }),
    status_at: new Date().toISOString(),
    output_bytes: outputBytes,
    ...(result.kind === 'exited' && { exit_code: result.code }),
    ...(result.kind === 'killed' && { signal: result.signal }),
  }
}

function causeVerdict(cause: EndCause, timeoutSeconds: number): [ExecutionStatus, string] {
  switch (cause) {
    case 'cancelled':
    case 'hangup':
      return ['cancelled', 'execution cancelled']
    case 'timeout':
      return ['failed', `execution timed out after ${timeoutSeconds}s`]
    case 'stopped':
      return ['failed', 'agent stopped']
  }
}

function resultVerdict(result: ProcessResult): [ExecutionStatus, string] {
  switch (result.kind) {
    case 'exited':
      return result.code === 0 ? ['success', ''] : ['failed', `exit code ${result.code}`]
    case 'killed':
      return ['failed', `killed by ${result.signal}`]
    case 'lost':
    case 'not started':
      return ['failed', result.error]
    case 'never started':
      return ['cancelled', 'execution cancelled']
  }
}
