import type { MessagePort } from 'node:worker_threads'
import type { ArchiveLimits } from '../archive/limits.js'
import type { Limits, RunAs, StarterSetup } from '../os/platform.js'
import type { StoreLocation } from '../store/open.js'
import type { ExecutionRecord } from '../store/record.js'

/** What crosses between the main thread and the workers. Every type here is structured-cloneable. */

/** Where, in the state folder, each thread keeps the writes that wait for the store. */
export const WRITES_DIR = 'writes'
/** Where, in the state folder, each thread writes down the ids it is given. */
export const IDS_DIR = 'ids'

/** What a worker is told again when it changes. */
export interface WorkerSettings {
  /** Kept output of one execution, bytes. */
  readonly maxOutputBytes: number
  /** Unstored writes one worker may hold before it refuses new async executions, bytes. */
  readonly backlogBytes: number
  readonly logLevel: string
}

/** Given to each worker thread once, as its workerData. */
export interface WorkerSetup {
  readonly agentId: string
  readonly store: StoreLocation
  /** Where this agent keeps files that outlive a restart but not the node: the write-ahead of the store, FIFOs. */
  readonly stateDir: string
  readonly runAs?: RunAs
  readonly starter: StarterSetup
  readonly settings: WorkerSettings
  /** Of a worker and all that it starts. */
  readonly nice: number
}

/** What a worker says when it is ready: how to talk to it. */
export interface ThreadHello {
  readonly kind: 'hello'
  /** Carries ToThread one way and FromThread the other, several in one message. */
  readonly port: MessagePort
  /** Names the folder of the writes that it had not stored, should it die. */
  readonly queueId: string
}

/** Main thread to a worker. `number` stands for the execution between the two, and is never used again. */
export type ToThread =
  /** They count from now on; for executions that have begun, only for the log. */
  | { readonly kind: 'settings'; readonly settings: WorkerSettings }
  /** What executions of a function of this name run from now on. */
  | { readonly kind: 'launch spec'; readonly spec: LaunchSpec }
  | { readonly kind: 'execute'; readonly number: number; readonly task: ExecuteTask }
  | { readonly kind: 'message'; readonly number: number; readonly message: ToExecution }
  /** No execution is left: keep what the store does not have yet for the next start; answered by `closed`. */
  | { readonly kind: 'close' }

/** A worker to the main thread. */
export type FromThread =
  | { readonly kind: 'message'; readonly number: number; readonly message: FromExecution }
  /** Nothing of it is left to do; nothing more will be said of it, nor heard. */
  | { readonly kind: 'settled'; readonly number: number }
  /** The same, by a fault of this program. */
  | { readonly kind: 'failed'; readonly number: number; readonly error: string }
  /** What the store refuses of its writes, where no retry will help; undefined: nothing any more. */
  | { readonly kind: 'store'; readonly refuses: string | undefined }
  | { readonly kind: 'closed' }

/** What all executions of a function have in common, until it is registered or deployed again. */
export interface LaunchSpec {
  readonly functionName: string
  /** Absolute path of the deployed version's folder. */
  readonly versionDir: string
  /** Relative to versionDir. */
  readonly handler: string
  /** The function's own, and the node's FLUX_ variables. */
  readonly env: Readonly<Record<string, string>>
  /** 0: none. */
  readonly timeoutSeconds: number
  readonly limits: Limits
  /** For the record. */
  readonly warnings?: readonly string[]
}

/** One execution's whole life. */
export interface ExecuteTask {
  readonly id: string
  /** Stands for the id in the journal (idNumber); absent where the agent has made it up, so that nobody sends it again. */
  readonly idNumber?: number
  readonly async: boolean
  readonly functionName: string
  readonly args: readonly string[]
  /** Wait for `go` before the process is started: every slot is taken. */
  readonly hold: boolean
}

/** Why an execution ends other than by its process ending. The first cause wins. */
export type EndCause = 'cancelled' | 'hangup' | 'timeout' | 'stopped'

/** Main thread to a running task. */
export type ToExecution =
  /** A slot is free: start the process. */
  | { readonly kind: 'go' }
  /** Answered by `ended`, which tells whether this cause won. */
  | { readonly kind: 'kill'; readonly cause: Exclude<EndCause, 'timeout'> }
  /** The JSON record with the output so far; answered by `snapshot`. */
  | { readonly kind: 'snapshot'; readonly request: number }
  /** Output from an offset; answered by `output` as soon as there is any or none will come. */
  | { readonly kind: 'read'; readonly request: number; readonly offset: number }
  /** This reader has gone or has been answered for the last time. */
  | { readonly kind: 'unfollow'; readonly request: number }

/** Nothing was begun. */
export interface Refusal {
  readonly kind: 'refused'
  readonly error: string
  /** Whether another execution has the id, so that this one is nothing to its record. */
  readonly idTaken: boolean
}

export const ID_TAKEN: Refusal = { kind: 'refused', error: 'execution ID already exists', idTaken: true }

/** A running task to the main thread. */
export type FromExecution =
  /** Async only: it is recorded, or waits on disk to be. */
  | { readonly kind: 'accepted' }
  | Refusal
  | { readonly kind: 'started'; readonly pid: number }
  /** Once: the process group is dead and the outcome is decided. The task itself settles once the record is stored. */
  | { readonly kind: 'ended'; readonly outcome: Outcome }
  | { readonly kind: 'snapshot'; readonly request: number; readonly data: Uint8Array }
  | { readonly kind: 'output'; readonly request: number; readonly part: OutputPart }
  /** Instead of either: what was asked for is in the store, which does not give it now. */
  | { readonly kind: 'unreadable'; readonly request: number }

/** `lost`: so many bytes from the offset asked for are missing. `end`: no byte follows; with it the record, without its output. */
export type OutputPart =
  | { readonly kind: 'bytes'; readonly offset: number; readonly data: Uint8Array }
  | { readonly kind: 'lost'; readonly bytes: number }
  | { readonly kind: 'end'; readonly record: ExecutionRecord }

export interface Outcome {
  readonly record: ExecutionRecord
  /** Sync only: the kept output, whole. Empty where the execution is async. */
  readonly output: Uint8Array
  /** The cause that won, where one did. */
  readonly cause?: EndCause
}

/** The JSON record of an execution with its output, from the store. */
export interface ReadRecordTask {
  readonly id: string
}

/** Output of an execution, from the store. */
export interface ReadOutputTask {
  readonly id: string
  readonly offset: number
}

/** What the store says of an execution. */
export type FromStore<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'absent' }
  | { readonly kind: 'unavailable'; readonly message: string }

/** One deploy's whole work, in a worker of its own pool. */
export interface DeployTask {
  readonly functionName: string
  readonly handler: string
  readonly archive: Uint8Array
  /** Of the settings that come with it. */
  readonly fingerprint?: string
  readonly appsDir: string
  readonly runAs?: RunAs
  readonly limits: ArchiveLimits
}

/** A version of a function's code on disk, never changed once it serves. */
export interface CodeVersion {
  /** Absolute path. */
  readonly dir: string
  /** SHA-256 of the archive, hexadecimal. */
  readonly digest: string
}

/** A version that is whole on disk and does not serve yet. */
export interface PreparedVersion {
  readonly kind: 'prepared'
  readonly version: CodeVersion
  /** Absolute path of the file that makes it the one that serves. */
  readonly next: string
  /** What its maker should know and need not change, each a sentence without a full stop. */
  readonly warnings: readonly string[]
}

export interface DeployRefused {
  readonly kind: 'refused'
  readonly message: string
}

export type PrepareResult =
  | PreparedVersion
  /** The same archive serves already. */
  | { readonly kind: 'unchanged'; readonly version: CodeVersion; readonly warnings: readonly string[] }
  | DeployRefused

/** A look at whether code has a handler. */
export interface HandlerCheck {
  readonly versionDir: string
  readonly handler: string
  readonly runAs?: RunAs
}

/** The start's look at all code there is. */
export interface AppsCheck {
  readonly appsDir: string
  /** What is stored of each function, by its name. */
  readonly stored: ReadonlyMap<string, StoredFunction>
  readonly runAs?: RunAs
}

export interface StoredFunction {
  readonly handler: string
  readonly fingerprint: string
}

export interface AppsFound {
  readonly serving: readonly ServingVersion[]
  /** Functions whose code was damaged, and is removed. */
  readonly damaged: readonly string[]
}

/** The version of a function that can serve. */
export interface ServingVersion {
  readonly name: string
  readonly version: CodeVersion
  /** Why it has not the handler that is stored. */
  readonly handlerProblem?: string
}
