import type { AgentState, Load } from '../../host/agent-state.js'
import type { GroupUse } from '../../os/platform.js'
import type { QueueState } from '../../store/queue/write-queue.js'
import type { CertificateExpiry } from '../../tls/certificates.js'
import type { Counts } from './counts.js'

/** Where metrics are read. */
export interface Sources {
  readonly agentId: string
  readonly state: AgentState
  readonly counts: Counts
  /** Of the certificates in use; undefined without TLS. */
  readonly certificates: () => CertificateExpiry | undefined
  /** What all executions together use now; undefined where the system does not tell. */
  readonly executionsUse: () => Promise<GroupUse | undefined>
  /** Absent until the agent serves. */
  serving?: ServingSources
}

/** How the agent is set up, in words, by what they are about. */
export interface Facts {
  readonly limits: Readonly<Record<string, string>>
  readonly isolation: Readonly<Record<string, string>>
}

/** An execution that runs or waits. */
export interface ListedExecution {
  readonly id: string
  readonly functionName: string
  readonly isQueued: boolean
  readonly async: boolean
  readonly startedAt: Date
}

/** What there is once the agent serves. */
export interface ServingSources {
  readonly load: Load & { readonly maxTasks: number; readonly maxWaiting: number }
  readonly functions: () => number
  /** Oldest first. */
  readonly executions: () => readonly ListedExecution[]
  /** Without its password. */
  readonly storeAddress: string
  readonly workers: () => number
  /** For how long the store has not answered the main thread, ms; 0: it answers. */
  readonly storeAwayMs: () => number
  /** Of each thread. */
  readonly queues: () => readonly QueueState[]
  readonly backlogBytes: () => number
  readonly problems: () => readonly string[]
  /** Executions whose spans nobody took; undefined where none are sent. */
  readonly tracesDropped: () => number | undefined
  readonly facts: () => Facts
}
