/** The user functions run as; absent where they run as the agent's own. */
export interface RunAs {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** One process to start: everything is absolute and final, nothing is inherited from the agent. */
export interface StartRequest {
  /** Absolute path of the program. */
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  readonly runAs?: RunAs
  /** Once aborted, a process that is not there yet is not started any more: `start` rejects. */
  readonly signal?: AbortSignal
}

/** How a process ended by itself or was ended. */
export type ProcessEnd =
  | { readonly kind: 'exited'; readonly code: number }
  /** `signal` by its name, as in `SIGKILL`. */
  | { readonly kind: 'killed'; readonly signal: string }

/** What a started process tells. Called on the thread that started it, never before `start` has returned. */
export interface ProcessListener {
  /** stdout and stderr, in the order written. The buffer is the listener's to keep. */
  output(chunk: Buffer): void
  /** Once, after the last output: the leader has ended, its group is dead, what was already written has been read. */
  ended(end: ProcessEnd): void
}

/** A process that runs, with everything in its group. */
export interface RunningProcess {
  readonly pid: number
  /** Ends the whole group by SIGKILL, at once; `ended` follows. Harmless when it has ended already. */
  kill(): void
  /** Stops and restarts reading the output; the process blocks once its pipe is full. */
  pause(): void
  resume(): void
}

/** Why a process could not be started. `message` names the file and what is wrong with it. */
export class StartFailure extends Error {
  override readonly name = 'StartFailure'
  constructor(
    /** The errno's name, as in `ENOENT`. */
    readonly code: string,
    message: string,
  ) {
    super(message)
  }
}

/** Starts processes in groups of their own. One a worker thread. */
export interface ProcessStarter {
  /** Rejects with StartFailure; nothing runs then. */
  start(request: StartRequest, listener: ProcessListener): Promise<RunningProcess>
  /** Ends everything it still runs and lets go of its files. */
  close(): void
}

/** What a process has used since it was started. */
export interface ProcessUse {
  /** Of all cores together. */
  readonly cpuMs: number
  readonly ageMs: number
  readonly memoryBytes: number
}

/** What an operating system gives the agent. One implementation an OS, chosen by `platform()` in index.ts. */
export interface Platform {
  createStarter(scratchDir: string): ProcessStarter
  /** Kills a group by its leader's pid from any thread, where the thread that started it is gone. */
  killGroup(pid: number): void
  /** Tells a process from a later one with the same pid; undefined where none has it. */
  processBirth(pid: number): string | undefined
  /** What each of the processes has used; one that has ended is left out. */
  usage(pids: readonly number[]): Promise<Map<number, ProcessUse>>
  /** The user of that name, or undefined where there is none. Reads the system's database: start-up only. */
  findUser(name: string): RunAs | undefined
  /** Whether this process may start others as another user. */
  canSwitchUser(): boolean
  /** The command that creates the user, for an error message. */
  createUserHint(name: string): string
  /** PATH, LANG, TZ, TMPDIR… of every function, before its own `env`. */
  baseEnvironment(runAs: RunAs | undefined): Record<string, string>
}
