/** The user functions run as; absent where they run as the agent's own. */
export interface RunAs {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** Supplementary groups, without `gid`. */
  readonly groups: readonly number[]
}

/** What an execution's processes may use together. 0: no limit. */
export interface Limits {
  readonly memoryMb: number
  /** 1000: one core. */
  readonly cpuMillicores: number
}

/** One process to start: everything is absolute and final, nothing is inherited from the agent. */
export interface StartRequest {
  /** Absolute path of the program. */
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
  /** The TMPDIR of `env` stands in for a folder of the process's own, removed after its end, where there can be none. */
  readonly ownTmpdir?: boolean
  readonly runAs?: RunAs
  /** Those of them that this machine keeps; the others are left aside. */
  readonly limits?: Limits
}

/** Who had run out of memory when the kernel killed for it: the execution's own limit, a cgroup above it, the machine. */
export type OutOfMemory = 'own limit' | 'limit above' | 'node'

/** What a process and everything it started have used, as far as it is known. */
export interface ResourceUse {
  /** User and system time. */
  readonly cpuMs: number
  /** The most memory they held at once, KiB. */
  readonly maxRssKb: number
}

/** How a process ended by itself or was ended, or why there was none. */
export type ProcessEnd =
  | (ProcessFacts & { readonly kind: 'exited'; readonly code: number })
  /** `signal` by its name, as in `SIGKILL`; realtime signals as `SIGRTMIN+3`. */
  | (ProcessFacts & { readonly kind: 'killed'; readonly signal: string })
  /** What supervised it has died, and everything was killed with it: how it would have ended is not known. */
  | { readonly kind: 'lost'; readonly error: string }
  | (StartFailure & Left)
  /** It was killed before it had been started. */
  | (Left & { readonly kind: 'never started' })

/** What is known of a process that has ended. */
export interface ProcessFacts extends Left {
  readonly use?: ResourceUse
  /** Something of it, not necessarily its leader, was killed for memory. */
  readonly outOfMemory?: OutOfMemory
  /** How many processes were, where the others go on. */
  readonly oomKills?: number
}

/** What SIGKILL has not ended within seconds, as it hangs in the kernel; absent where nothing is left. */
export interface Left {
  readonly survivors?: Survivors
}

export interface Survivors {
  readonly count: number
  /** Of the first few of them. */
  readonly pids: readonly number[]
}

/** It could not be started, and nothing of it runs. */
export interface StartFailure {
  readonly kind: 'not started'
  /** The errno's name, as in `ENOENT`, or LAUNCHER_DIED. */
  readonly code: string
  /** Names the file and what is wrong with it. */
  readonly error: string
}

/** What becomes of a process. Called on the thread that started it, never before `start` has returned. */
export interface ProcessListener {
  /** It runs; not called where it does not come to that. */
  started(pid: number): void
  /** stdout and stderr, in the order written. The buffer is overwritten after the call. */
  output(chunk: Buffer): void
  /** Once, after the last output: the leader has ended, its group is dead, what was already written has been read. */
  ended(end: ProcessEnd): void
}

/** A process from its start on, with everything in its group. */
export interface SupervisedProcess {
  /** Ends the whole group by SIGKILL, at once; `ended` follows. Harmless when it has ended already. */
  kill(): void
  /** Stops and restarts reading the output, but for what is on its way; the process blocks once its pipe is full. */
  pause(): void
  resume(): void
}

/** Starts processes in groups of their own. One a worker thread. */
export interface ProcessStarter {
  /** Always answers; a start that fails is told as the process's end. */
  start(request: StartRequest, listener: ProcessListener): SupervisedProcess
  /** Ends everything it still runs, which is told as usual, and lets go of its files. */
  close(): Promise<void>
}

/** How to start processes, decided once by the main thread and handed to every worker. */
export type StarterSetup =
  | {
      readonly kind: 'child_process'
      /** A folder for the starters' files. */
      readonly scratchDir: string
    }
  | {
      readonly kind: 'launcher'
      readonly scratchDir: string
      /** Absolute path of the program. */
      readonly program: string
      /** Where the cgroups of executions go; absent: there are none. */
      readonly cgroups?: CgroupParent
      readonly noNewPrivileges: boolean
      /** Processes and threads of one execution. 0: no limit. */
      readonly maxProcesses: number
      readonly oomKill: OomKill
      /** Where each execution gets a folder for temporary files; absent: nowhere. */
      readonly tmpdirs?: string
    }

/** What the kernel kills where memory runs out: all that an execution runs, or only the process it chooses. */
export type OomKill = 'execution' | 'process'

/** A cgroup v2 folder of the agent's own. */
export interface CgroupParent {
  /** Absolute path. */
  readonly dir: string
  /** What can be limited below it. */
  readonly controllers: readonly CgroupController[]
}

export type CgroupController = 'memory' | 'cpu' | 'pids'

/** How executions are kept apart and limited on this machine. */
export interface Isolation {
  readonly starter: StarterSetup
  /** Why processes are not started by the launcher, where there could be one. */
  readonly problem?: string
  /** Why executions have no TMPDIR of their own, where they could. */
  readonly noTmpdirs?: string
  /** Why a limit is not kept here; absent where it is. */
  readonly unenforced: { readonly memory?: string; readonly cpu?: string; readonly processes?: string }
}

export interface IsolationOptions {
  /** Tells this agent from others on the machine; must exist. */
  readonly stateDir: string
  /** A folder for the starters' files. */
  readonly scratchDir: string
  readonly noNewPrivileges: boolean
  /** Processes and threads of one execution. 0: no limit. */
  readonly maxProcesses: number
  readonly oomKill: OomKill
  /** A folder that nobody but the agent changes, for folders that are each one execution's TMPDIR. */
  readonly tmpdirs?: string
}

/** What a process has used since it was started. */
export interface ProcessUse {
  /** Of all cores together. */
  readonly cpuMs: number
  readonly ageMs: number
  readonly memoryBytes: number
}

/** What has a TCP port of this machine. */
export interface PortHolder {
  /** Otherwise it is a connection's own end, as of an outgoing one. */
  readonly listens: boolean
  /** Absent: not to be found by this user. */
  readonly process?: { readonly pid: number; readonly command: string }
}

/** The way to the service manager that has started this process (sd_notify(3)). */
export interface ServiceNotifier {
  /** Without a sign of life for that long the agent is restarted, ms; absent: nobody waits for one. */
  readonly watchdogMs?: number
  /** Sends lines of `VARIABLE=value` as one notification, after those before. Never blocks; not before `isolate`. */
  send(...lines: readonly string[]): void
  /** The same for what may be left out, and is where earlier ones are still under way. */
  offer(...lines: readonly string[]): void
  /** Resolves when all is sent, or a second later. */
  close(): Promise<void>
}

/** What an operating system takes as arguments and environment of a process. */
export interface StringLimits {
  /** Of one argument, or one variable with its name and `=`. */
  readonly longest: number
  /** Of all arguments and variables, with one more for each. */
  readonly together: number
  readonly unit: 'bytes' | 'characters'
  sizeOf(text: string): number
}

/** What an operating system gives the agent. One implementation an OS, chosen by `platform()` in index.ts. */
export interface Platform {
  /**
   * Finds out how processes can be started and limited here and prepares for it: moves the agent into a cgroup of its
   * own, kills and removes what a crashed one has left. Main thread, once, before the first worker.
   */
  isolate(options: IsolationOptions): Promise<Isolation>
  /** What `isolate` would come to; changes nothing. `cgroups`: where they would be. */
  inspectIsolation(): Omit<Isolation, 'starter'> & { readonly cgroups?: string }
  /** Removes what `isolate` has made, once the workers have ended. */
  release(isolation: Isolation): void
  /**
   * Undefined where no service manager wants to know. Takes what it has said out of `process.env`, since what is started
   * from here on is not the service itself. `report` hears, once, why nothing can be told. Main thread, once, first of all.
   */
  takeServiceNotifier(report: (problem: string) => void): ServiceNotifier | undefined
  /** Calls `stop`, with a reason for the log, whenever another process asks this one to stop. Main thread. */
  onStopRequest(stop: (reason: string) => void): void
  /** Calls `reload` whenever another process asks this one to read its configuration again, where it can. Main thread. */
  onReloadRequest(reload: () => void): void
  /** Asks the agent with this pid to stop. Rejects with the system's error, as where there is no such agent. */
  requestStop(pid: number): Promise<void>
  /** Why a program can never be started, by its name alone, to follow that in a sentence; undefined where it may be. */
  handlerProblem(handler: string): string | undefined
  /**
   * Why a program, whose working directory is its own folder, cannot be started or will fail at once, as far as the file
   * and what it needs of this machine tell; undefined where nothing is seen to be wrong.
   */
  programProblem(file: string): Promise<string | undefined>
  readonly strings: StringLimits
  /** Once a worker thread. */
  createStarter(setup: StarterSetup): ProcessStarter
  /** Sets the nice value of the calling thread and of the threads it starts from then on, as far as it may. */
  renice(nice: number): void
  /** Kills a group by its leader's pid from any thread, where the thread that started it is gone. */
  killGroup(pid: number): void
  /** Tells a process from a later one with the same pid, on Windows from another program's; undefined where none has it. */
  processStartTime(pid: number): string | undefined
  /** What each of the processes has used; one that has ended is left out. */
  usage(pids: readonly number[]): Promise<Map<number, ProcessUse>>
  /** What has that TCP port; undefined where it is free, or where this system does not tell. For an error message. */
  portHolder(port: number): PortHolder | undefined
  /** The user of that name, or undefined where there is none. Reads the system's database: start-up only. */
  findUser(name: string): RunAs | undefined
  /** Whether this process may start others as another user. */
  canSwitchUser(): boolean
  /** The command that creates the user, for an error message. */
  createUserHint(name: string): string
  /** PATH, LANG, TZ, TMPDIR… of every function, before its own `env`. */
  baseEnvironment(runAs: RunAs | undefined): Record<string, string>
}
