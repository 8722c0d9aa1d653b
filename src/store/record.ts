/** An execution's status. `running` includes queued ones: the control plane knows no other word. */
export type ExecutionStatus = 'running' | 'success' | 'failed' | 'cancelled'

/**
 * The execution record as stored and, with `output` added, as GetExecution answers it. The keys are the wire: the
 * control plane decodes them into a struct. Those after `status_at` are this agent's own.
 */
export interface ExecutionRecord {
  readonly execution_id: string
  readonly agent_id: string
  readonly function_name: string
  readonly status: ExecutionStatus
  /** Absent when empty. */
  readonly error?: string
  /** Whole milliseconds from the process's start to its end; absent when 0. */
  readonly duration_ms?: number
  /** RFC 3339 with a fraction. */
  readonly started_at: string
  /** RFC 3339 with a fraction; present only once the execution has ended. */
  readonly status_at?: string
  /** Bytes of retained output, including the mark that replaces what was left out. */
  readonly output_bytes?: number
  /** How many of them the store lost or never got; absent when none. Set by the store. */
  readonly output_lost_bytes?: number
  /** Present when the process ended by itself. */
  readonly exit_code?: number
  /** Present when a signal ended the process, as in `SIGSEGV`. */
  readonly signal?: string
  /** User and system time of all its processes, whole milliseconds; absent where the system does not measure it. */
  readonly cpu_ms?: number
  /** Peak memory of its processes together, KiB; absent where the system does not measure it. */
  readonly max_rss_kb?: number
  /** Present, and true, when the kernel killed the execution, or a process of it, for memory. */
  readonly oom_killed?: boolean
  /** How many processes were killed; present with `oom_killed` where the others went on (`oom_kill: process`). */
  readonly oom_kills?: number
  /** How many of its processes SIGKILL did not end within seconds, as they hang in the kernel; absent when none. */
  readonly survivors?: number
  /** Pids of the first few of them. */
  readonly survivor_pids?: readonly number[]
  /** Likely mistakes in the function's settings; absent when none. */
  readonly warnings?: readonly string[]
  /** Present, and true, when the execution never began: another one may still use its id. */
  readonly refused?: true
}

/** How long a record stays after its execution ended, and how long a running one stays without renewal. */
export const RECORD_TTL_MS = 3_600_000
