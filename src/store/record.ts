/** How an execution stands. `running` also covers one that waits in the queue: the control plane knows no fifth word. */
export type ExecutionStatus = 'running' | 'success' | 'failed' | 'cancelled'

/**
 * The execution record as it is kept and, with `output` added, as GetExecution answers it. The keys are the wire
 * (the control plane decodes them into a struct); the ones after `status_at` are ours.
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
  /** Bytes of output kept, including the mark that stands for what was left out. */
  readonly output_bytes?: number
  /** How many of them the store lost, or never got; absent when none. Set by the store. */
  readonly output_lost_bytes?: number
  /** Present when the process ended by itself. */
  readonly exit_code?: number
  /** Present when a signal ended the process, as in `SIGSEGV`. */
  readonly signal?: string
  /** User and system time of all its processes, whole milliseconds; absent where the system does not tell. */
  readonly cpu_ms?: number
  /** The most memory its processes held at once, KiB; absent where the system does not tell. */
  readonly max_rss_kb?: number
  /** Present, and true, when the kernel killed it, or some process of it, for memory. */
  readonly oom_killed?: boolean
  /** How many of its processes were; present with `oom_killed` where the others went on (`oom_kill: process`). */
  readonly oom_kills?: number
  /** Present when SIGKILL has not ended so many of its processes within seconds, as they hang in the kernel. */
  readonly survivors?: number
  /** Pids of the first few of them. */
  readonly survivor_pids?: readonly number[]
  /** What is surely not meant by the function's settings; absent where there is nothing. */
  readonly warnings?: readonly string[]
  /** Present, and true, when it never began: its id is free for one that does. */
  readonly refused?: true
}

/** How long a record stays after its execution ended, and how long one lives without its lease being renewed. */
export const RECORD_TTL_MS = 3_600_000
