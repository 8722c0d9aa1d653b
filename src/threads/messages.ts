import type { MessagePort } from 'node:worker_threads'
import type { ArchiveLimits } from '../archive/limits.js'
import type { EndCause, Limits, RunAs, StarterSetup, UidRange } from '../os/platform.js'
import type { StoreLocation } from '../store/open.js'
import type { QueueState } from '../store/queue/write-queue.js'
import type { ExecutionRecord } from '../store/record.js'
import type { Counted } from './histogram.js'
import type { KeptNote } from './kept-note.js'
import type { SpanIds } from './span-ids.js'

/** Everything that crosses between the main thread and the workers. All types here are structured-cloneable. */

/** In the state folder: the writes of each thread that wait for the store. */
export const WRITES_DIR = 'writes'
/** In the state folder: the ids that each thread was given. */
export const IDS_DIR = 'ids'

/** Settings that a worker is sent again when they change. */
export interface WorkerSettings {
  /** Retained output of one execution, bytes. */
  readonly maxOutputBytes: number
  /** Unstored writes of one worker beyond which it refuses new async executions, bytes. */
  readonly backlogBytes: number
  readonly logLevel: string
}

/** Given to each worker thread once, as its workerData. */
export interface WorkerSetup {
  readonly agentId: string
  readonly store: StoreLocation
  /** The folder for files that survive a restart but not the node: writes for the store, FIFOs. */
  readonly stateDir: string
  readonly runAs?: RunAs
  readonly starter: StarterSetup
  readonly settings: WorkerSettings
  /** The nice value of a worker and of all that it starts. */
  readonly nice: number
  /** Whether it counts, and sends WorkerFigures. */
  readonly counts: boolean
}

/** A worker's first message: it is ready, and this is how to talk to it. */
export interface ThreadHello {
  readonly kind: 'hello'
  /** Carries arrays of ToThread one way and of FromThread the other. */
  readonly port: MessagePort
  /** Names the folders of its unstored writes, should it die. */
  readonly queuesId: string
}

/** From the main thread to a worker. `number` identifies an execution on this port, and is never reused. */
export type ToThread =
  /** Apply from now on; for executions that have begun, only to the log. */
  | { readonly kind: 'settings'; readonly settings: WorkerSettings }
  /** Asks for a sign of life. */
  | { readonly kind: 'ping' }
  /** For the following executions of the function of this name. */
  | { readonly kind: 'launch spec'; readonly spec: LaunchSpec }
  | { readonly kind: 'execute'; readonly number: number; readonly task: ExecuteTask }
  /** Take over a launcher that has no agent, with everything that it runs. */
  | { readonly kind: 'adopt'; readonly launcher: string; readonly executions: readonly NumberedAdoption[] }
  | { readonly kind: 'message'; readonly number: number; readonly message: ToExecution }
  /**
   * Put unstored writes on disk for the next start; answered by `closed`. No execution is left, or, with `handOver`,
   * launchers keep those that are.
   */
  | { readonly kind: 'close'; readonly handOver: boolean }

/** From a worker to the main thread. */
export type FromThread =
  | { readonly kind: 'message'; readonly number: number; readonly message: FromExecution }
  /** The execution is settled: no message about it follows or is accepted. */
  | { readonly kind: 'settled'; readonly number: number }
  /** Settled by a defect of this program. */
  | { readonly kind: 'failed'; readonly number: number; readonly error: string }
  /** Why the store refuses the worker's writes, where no retry will help; undefined: it no longer does. */
  | { readonly kind: 'store'; readonly refuses: string | undefined }
  /** Once a second, where they have changed. */
  | { readonly kind: 'figures'; readonly figures: WorkerFigures }
  /** The answer to `ping`. */
  | { readonly kind: 'pong' }
  | { readonly kind: 'closed' }

/** What a worker has counted since the last ones, and how it is now. */
export interface WorkerFigures extends QueueState {
  /** Printed by functions. */
  readonly outputBytes: number
  /** Launchers that have replaced a dead one. */
  readonly launcherRestarts: number
  /** Writes that the store has taken. */
  readonly writes: number
  /** How long the store took for each batch of them, seconds, by WRITE_BOUNDS. */
  readonly batches: Counted
}

/** Seconds. */
export const WRITE_BOUNDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

/** What all executions of a function share, until it is registered or deployed again. */
export interface LaunchSpec {
  readonly functionName: string
  /** Absolute path of the deployed version's folder. */
  readonly versionDir: string
  /** Relative to versionDir. */
  readonly handler: string
  /** Absent: the agent's own user. */
  readonly runAs?: RunAs
  /** Whether it runs in the function's sandbox. */
  readonly sandboxed: boolean
  /** The function's own variables, the node's FLUX_ variables, and where interpreters keep compiled code. */
  readonly env: Readonly<Record<string, string>>
  /** 0: no timeout. */
  readonly timeoutSeconds: number
  readonly limits: Limits
  /** For the record. */
  readonly warnings?: readonly string[]
}

/** One execution to supervise. */
export interface ExecuteTask {
  readonly id: string
  /** The id's number in the id log (idNumber); undefined where the agent generated the id, which no caller can repeat. */
  readonly idNumber: number | undefined
  readonly async: boolean
  readonly functionName: string
  readonly args: readonly string[]
  /** Of this execution alone; they have priority over the function's own. */
  readonly variables: Readonly<Record<string, string>> | undefined
  /** For the next agent, where somebody records the spans of an async execution. */
  readonly spans?: SpanIds
  /** Whether to wait for `go` before the process is started, as every slot is taken. */
  readonly hold: boolean
}

/** An execution that an earlier agent, or a worker that has died, has begun. */
export interface AdoptTask {
  /** Its number at its launcher. */
  readonly process: number
  /** Offset of the first byte of its output that is not safe. */
  readonly keptFrom: number
  readonly note: KeptNote
}

export interface NumberedAdoption {
  readonly number: number
  readonly task: AdoptTask
}

/** From the main thread to a running execution. */
export type ToExecution =
  /** A slot is free: start the process. */
  | { readonly kind: 'go' }
  /** Answered by `ended`, which says whether this cause won. */
  | { readonly kind: 'kill'; readonly cause: Exclude<EndCause, 'timeout'> }
  /** Asks for the JSON record with the output so far; answered by `snapshot`. */
  | { readonly kind: 'snapshot'; readonly request: number }
  /** Asks for output from an offset; answered by `output` once there is any or none will come. */
  | { readonly kind: 'read'; readonly request: number; readonly offset: number }
  /** This reader hung up or has its last answer. */
  | { readonly kind: 'unfollow'; readonly request: number }

/** Why executions are refused. */
export const REFUSALS = [
  'at_capacity',
  'draining',
  'function_unknown',
  'not_deployed',
  'id_taken',
  'invalid',
  'no_worker',
  'backlog_full',
  'disk_failed',
  'stopping',
] as const
export type RefusalReason = (typeof REFUSALS)[number]

/** The execution did not begin. */
export interface Refusal {
  readonly kind: 'refused'
  readonly reason: RefusalReason
  readonly error: string
  /** Whether another execution has this id, so that its record must not be touched. */
  readonly idTaken: boolean
}

export const ID_TAKEN: Refusal = {
  kind: 'refused',
  reason: 'id_taken',
  error: 'execution ID already exists',
  idTaken: true,
}

/** From a running execution to the main thread. */
export type FromExecution =
  /** Async only: it is recorded, in the store or on disk. */
  | { readonly kind: 'accepted' }
  | Refusal
  /** `at`: when that was known, by monotonicMs. */
  | { readonly kind: 'started'; readonly pid: number; readonly at: number }
  /** Sent once: the process group is dead and the outcome is decided. `settled` follows once the record is stored. */
  | { readonly kind: 'ended'; readonly outcome: Outcome }
  | { readonly kind: 'snapshot'; readonly request: number; readonly data: Uint8Array }
  | { readonly kind: 'output'; readonly request: number; readonly part: OutputPart }
  /** Instead of `snapshot` or `output`: the answer is in the store, which is unavailable. */
  | { readonly kind: 'unreadable'; readonly request: number }

/**
 * `lost`: so many bytes from the requested offset are missing. `end`: no byte follows; carries the record without its
 * output.
 */
export type OutputPart =
  | { readonly kind: 'bytes'; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'lost'; readonly bytes: number }
  | { readonly kind: 'end'; readonly record: ExecutionRecord }

/** What became of an execution that has begun; `lost`: its supervisor died, and nobody knows. */
export const OUTCOMES = ['success', 'failed', 'timeout', 'cancelled', 'oom', 'start_failed', 'stopped', 'lost'] as const
export type OutcomeKind = (typeof OUTCOMES)[number]

export interface Outcome {
  readonly kind: OutcomeKind
  /** Present where its process did not start: see StartFailure. */
  readonly failedStep?: string
  readonly record: ExecutionRecord
  /** Sync only: the whole retained output. Empty for async executions. */
  readonly output: Uint8Array
  /** The cause that ended it; absent where its process ended by itself. */
  readonly cause?: EndCause
}

/** Asks for an execution's JSON record with its output, from the store. */
export interface ReadRecordTask {
  readonly id: string
}

/** Asks for output of an execution, from the store. */
export interface ReadOutputTask {
  readonly id: string
  readonly offset: number
}

/** The store's answer about an execution. */
export type FromStore<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unavailable'; readonly message: string }

/** Whom functions run as. */
export type FunctionUsers =
  /** The agent's own user. */
  | { readonly kind: 'agent' }
  /** All as one. */
  | { readonly kind: 'shared'; readonly runAs: RunAs }
  /**
   * Each as one of its own, which takes itself for `runAs`. `folder`: absolute path of FUNCTIONS_DIR, where who is who
   * is remembered.
   */
  | { readonly kind: 'separate'; readonly runAs: RunAs; readonly folder: string; readonly uids: UidRange }

/** Where the code of functions is, and whose it is. */
export interface CodePlaces {
  readonly appsDir: string
  readonly users: FunctionUsers
  /** Absolute path of CACHES_DIR. */
  readonly cachesDir: string
  /** Whether interpreters may keep compiled code there. */
  readonly codeCache: boolean
}

/** One archive to deploy, on the deploy thread. */
export interface DeployTask extends CodePlaces {
  readonly functionName: string
  readonly handler: string
  readonly archive: Uint8Array
  /** The fingerprint of the settings that come with it. */
  readonly fingerprint?: string
  /** Makes the version current at once, as no settings come with it that have to be stored before. */
  readonly activate?: true
  readonly limits: ArchiveLimits
}

/** A version of a function's code on disk. Its files never change once it serves. */
export interface CodeVersion {
  /** Absolute path. */
  readonly dir: string
  /** SHA-256 of the archive, hexadecimal. */
  readonly digest: string
  /** The user and group id of the function, where functions are separate. */
  readonly uid?: number
  /** Absolute path of the folder for what interpreters keep of this version; absent: there is none. */
  readonly cacheDir?: string
}

/** A version that is complete on disk and does not serve yet. */
export interface PreparedVersion {
  readonly kind: 'prepared'
  readonly version: CodeVersion
  /** Absolute path of the file whose renaming makes it the current version. */
  readonly next: string
  /** Hints for its maker, each a sentence without a full stop. */
  readonly warnings: readonly string[]
}

export interface DeployRefused {
  readonly kind: 'refused'
  readonly message: string
}

export type PrepareResult =
  | PreparedVersion
  /** The same archive is the current version already. */
  | { readonly kind: 'unchanged'; readonly version: CodeVersion; readonly warnings: readonly string[] }
  | DeployRefused

/** Asks whether a version's code contains a handler. */
export interface HandlerCheck {
  readonly version: CodeVersion
  readonly handler: string
  readonly users: FunctionUsers
}

/** A version that serves no more, to be removed with its cache. */
export interface VersionRemoval {
  /** Absolute path. */
  readonly versionDir: string
  readonly cachesDir: string
}

/** Asks, at the start, which code can serve. */
export interface AppsCheck extends CodePlaces {
  /** The stored functions, by name. */
  readonly stored: ReadonlyMap<string, StoredFunction>
  /** Folders of the versions that executions of an earlier agent still run. */
  readonly inUse: ReadonlySet<string>
}

export interface StoredFunction {
  readonly handler: string
  readonly fingerprint: string
}

export interface AppsFound {
  readonly serving: readonly ServingVersion[]
  /** Functions whose code was damaged and has been removed. */
  readonly damaged: readonly string[]
  /** Functions whose code is whole and cannot serve; why, in a sentence without a full stop. */
  readonly unusable: readonly { readonly name: string; readonly problem: string }[]
  /** Absolute paths of caches that no version needs. */
  readonly staleCaches: readonly string[]
}

/** A function's version that can serve. */
export interface ServingVersion {
  readonly name: string
  readonly version: CodeVersion
  /** Why its code lacks the stored handler; absent where it has it. */
  readonly handlerProblem?: string
}
