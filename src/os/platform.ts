/** The user that functions run as; absent where that is the agent's own. */
export interface RunAs {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
  /** Supplementary groups, without `gid`. */
  readonly groups: readonly number[]
}

/** User ids, both ends included. */
export interface UidRange {
  readonly first: number
  readonly last: number
}

/** The network that functions have: the node's, or none but a loopback of their own. */
export type FunctionNetwork = 'host' | 'none'

/**
 * How functions are kept apart: each is a user of its own, in a sandbox (a mount and an IPC namespace) that is made once
 * and joined at each start. All paths are absolute.
 */
export interface Separation {
  /** Whom each takes itself for: its name, home and groups. */
  readonly runAs: RunAs
  readonly appsDir: string
  readonly stateDir: string
  /** What one may keep in /tmp, /var/tmp and /dev/shm together, bytes. */
  readonly tmpBytes: number
  /** What one may keep on disk, bytes; 0: no limit. */
  readonly diskBytes: number
  readonly network: FunctionNetwork
}

/** Addresses with the same first `bits`. Those of `address` behind them do not count. */
export interface Net {
  readonly family: 4 | 6
  readonly address: string
  readonly bits: number
}

/** What functions are not to reach: a net, a port of any address, or a port of a net. */
export type NetworkTarget =
  | { readonly net: Net; readonly port?: number }
  | { readonly net?: undefined; readonly port: number }

/** What processes of some users cannot reach. */
export interface FirewallRules {
  readonly uids: UidRange
  /** TCP ports of this machine's own addresses. */
  readonly localPorts: readonly number[]
  readonly deny: readonly NetworkTarget[]
}

/** The rules are not in force. The message has no full stop. */
export class FirewallError extends Error {
  override readonly name = 'FirewallError'
  readonly code = 'FIREWALL_UNAVAILABLE'

  constructor(
    message: string,
    readonly fix: string,
  ) {
    super(message)
  }
}

/** The system's firewall, as far as it is for functions. Main thread. */
export interface Firewall {
  /** Puts these rules in the place of earlier ones, with no moment between. Rejects with FirewallError. */
  install(rules: FirewallRules): Promise<void>
  /** Whether they are as `install` has left them: a firewall service that restarts removes those of others. */
  isInstalled(): Promise<boolean>
  /** Why `install` would fail, without changing anything. */
  problem(rules: FirewallRules): Promise<FirewallError | undefined>
  /** Removes them, unless a launcher that outlives its agent needs them. Nothing happens where there are none. */
  release(): Promise<void>
}

/** In the state folder, what separate functions keep: `homes/NAME`, `caches/NAME/VERSION`, and `tmp`. */
export const FUNCTIONS_DIR = 'functions'
/** In FUNCTIONS_DIR, a folder for each function: its home. Its owner is the function's user. */
export const HOMES_DIR = 'homes'
/** In FUNCTIONS_DIR, a folder for each function with one for each version of its code, for what interpreters keep. */
export const CACHES_DIR = 'caches'

/** Limits for all processes of an execution together. 0: no limit. */
export interface Limits {
  readonly memoryMb: number
  /** 1000: one core. */
  readonly cpuMillicores: number
}

/** A process to start. Paths are absolute, and nothing is inherited from the agent. */
export interface StartRequest {
  /** Absolute path of the program. */
  readonly file: string
  readonly args: readonly string[]
  readonly cwd: string
  /** Starters may know the same object again: give one to all processes whose variables these are. */
  readonly env: Readonly<Record<string, string>>
  /** Variables of this process alone; none of them is in `env`. */
  readonly ownEnv?: Readonly<Record<string, string>> | undefined
  /**
   * Whether the process gets a temporary folder of its own, removed after its end; TMPDIR in `env` is used where that
   * is not possible.
   */
  readonly ownTmpdir?: boolean | undefined
  readonly runAs?: RunAs | undefined
  /** The function's name, where it has a sandbox. */
  readonly sandbox?: string | undefined
  /** Limits that this machine cannot enforce are ignored. */
  readonly limits?: Limits | undefined
  /** Killed after so many ms, for the cause `timeout`. 0: no timeout. */
  readonly timeoutMs?: number | undefined
  /**
   * Present where the process may outlive this one, if the starter can do that: what the next agent has to know of it.
   */
  readonly note?: Uint8Array | undefined
}

/** Why an execution is ended other than by its own process. The first cause wins. */
export type EndCause = 'cancelled' | 'hangup' | 'timeout' | 'stopped'

/** Which limit made the kernel kill: the execution's own, that of a cgroup above it, or the machine's memory. */
export type OutOfMemory = 'own limit' | 'limit above' | 'node'

/** What a function with a sandbox has: its temporary files in memory, and what it keeps on disk. See Separation. */
export type Room = 'tmp' | 'disk'

/** Resources used by a process and everything it started, as far as known. */
export interface ResourceUse {
  /** User and system time, ms. */
  readonly cpuMs: number
  /** Peak memory of all together, KiB. */
  readonly maxRssKb: number
}

/** How a process ended, or why it did not start. */
export type ProcessEnd = ProcessOutcome & {
  /** For which it was killed; absent where it ended by itself. */
  readonly cause?: EndCause
  /** From the request to start it until its end, ms; 0 where it did not run. */
  readonly durationMs: number
}

export type ProcessOutcome =
  | (ProcessFacts & { readonly kind: 'exited'; readonly code: number })
  /** `signal`: its name, as in `SIGKILL`; realtime signals as `SIGRTMIN+3`. */
  | (ProcessFacts & { readonly kind: 'killed'; readonly signal: string })
  /** Its supervisor died, and everything was killed with it: how it would have ended is unknown. */
  | { readonly kind: 'lost'; readonly error: string }
  | (StartFailure & Left)
  /** It was killed before it started. */
  | (Left & { readonly kind: 'never started' })

/** Facts about a process that has ended. */
export interface ProcessFacts extends Left {
  readonly use?: ResourceUse
  /** Present when any of its processes was killed for memory. */
  readonly outOfMemory?: OutOfMemory
  /** How many processes were killed, where the others go on. */
  readonly oomKills?: number
  /** Of which its function had used up what it may have, where the process failed; absent where of none. */
  readonly usedUp?: readonly Room[]
}

/** Processes that SIGKILL did not end within seconds, as they hang in the kernel; absent where none is left. */
export interface Left {
  readonly survivors?: Survivors
}

export interface Survivors {
  readonly count: number
  /** The first few of their pids. */
  readonly pids: readonly number[]
}

/** The start failed, and nothing of it runs. */
export interface StartFailure {
  readonly kind: 'not started'
  /** Which step failed, in one word of few: a system call's name, `sandbox`, `launcher`, or `spawn`. */
  readonly step: string
  /** The errno's name, as in `ENOENT`, or LAUNCHER_DIED. */
  readonly code: string
  /** One sentence that names the file and what is wrong. */
  readonly error: string
}

/** Receives a process's events, on the thread that started it, never before `start` has returned. */
export interface ProcessListener {
  /** The process runs. Not called where the start fails. */
  started(pid: number): void
  /** stdout and stderr, in the order written. The buffer is reused after the call. */
  output(chunk: Buffer): void
  /** Called once, last: the leader has ended, its group is dead but for `survivors`, and all output was delivered. */
  ended(end: ProcessEnd): void
}

/** A started process, with everything in its group. */
export interface SupervisedProcess {
  /** Kills the whole group by SIGKILL; `ended` follows. No effect once it has ended. */
  kill(cause: EndCause): void
  /**
   * So many more bytes of its output are safe and need not be kept. While more than a window is not, no output is read,
   * and the process waits once its pipe is full.
   */
  release(bytes: number): void
  /** Its end is safe. No call may follow. */
  forget(): void
}

/** A process that an earlier agent has started and a launcher has kept. */
export interface KeptProcess {
  /** Its number at that launcher. */
  readonly number: number
  /** The leader's pid; absent before its start, and where that has failed. */
  readonly pid?: number
  readonly note: Uint8Array
  /** The output kept: from the first byte that was not safe to the end of it so far. */
  readonly keptFrom: number
  readonly outputLength: number
}

/** A launcher that has outlived its agent. No other agent can have it until `leave` or `end`. Main thread. */
export interface KeptLauncher {
  readonly name: string
  readonly processes: readonly KeptProcess[]
  /** Resolves once a worker's starter may connect to it. */
  leave(): Promise<void>
  /** Kills all that it runs. Resolves when that is dead and the launcher has gone, or after seconds. */
  end(): Promise<void>
}

export interface KeptLaunchers {
  readonly launchers: readonly KeptLauncher[]
  /** Why others could not be taken over, and were ended; each a sentence without a full stop. */
  readonly problems: readonly string[]
}

/** The processes of a launcher that this starter has taken over. */
export interface AdoptedProcesses {
  /**
   * Receives the process's events from now on, with its output from an offset: not before `keptFrom`, nor after the
   * output's end.
   */
  attach(number: number, outputOffset: number, listener: ProcessListener): SupervisedProcess
  /** Kills one that may not be attached yet. */
  kill(number: number, cause: EndCause): void
}

/** Starts processes in groups of their own. One for each worker thread. */
export interface ProcessStarter {
  /** Never throws: a failed start is reported as the process's end. */
  start(request: StartRequest, listener: ProcessListener): SupervisedProcess
  /**
   * Takes over a launcher that has outlived its agent, and so many processes, each of which is to be attached. Never
   * throws: where it has died, that is each process's end.
   */
  adopt(launcher: string, processes: number): AdoptedProcesses
  /** How many launchers have replaced a dead one so far. */
  readonly restarts: number
  /** Kills every process that still runs, which is reported as usual, and frees its files. */
  close(): Promise<void>
  /** Leaves those that may outlive this process to the next agent. No event is reported any more. */
  handOver(): Promise<void>
}

/** How to start processes: decided once by the main thread, and passed to every worker. */
export type StarterSetup =
  | {
      readonly kind: 'child_process'
      /** A folder for the starter's files. */
      readonly scratchDir: string
    }
  | {
      readonly kind: 'launcher'
      readonly scratchDir: string
      /** Absolute path of the program. */
      readonly program: string
      /** The parent of executions' cgroups; absent: there are none. */
      readonly cgroups?: CgroupParent
      readonly noNewPrivileges: boolean
      /** Processes and threads of one execution. 0: no limit. */
      readonly maxProcesses: number
      readonly oomKill: OomKill
      /** The parent of executions' temporary folders; absent: they get none. */
      readonly tmpdirs?: string
      /** Absent: functions have none. */
      readonly sandboxes?: Sandboxes
      /** A launcher waits so long for the next agent, ms; 0: it ends with its agent. */
      readonly surviveMs: number
    }

/** Where the launchers get sandboxes from. */
export interface Sandboxes extends Separation {
  /** Absolute path of the program that makes one. */
  readonly program: string
  /** Absolute path of the folder by which the launchers share them. */
  readonly registry: string
}

/** What the kernel kills when memory runs out: the whole execution, or one process of its choice. */
export type OomKill = 'execution' | 'process'

/** A cgroup v2 folder that the agent owns. */
export interface CgroupParent {
  /** Absolute path. */
  readonly dir: string
  /** Controllers that can be used below it. */
  readonly controllers: readonly CgroupController[]
  /** Those of the cgroup above it, which has the executions of all agents of this place. */
  readonly aggregate: AggregateLimits
  /** The cgroup of the launchers themselves; absent: that of the agent. */
  readonly launchers?: string
}

/** What all executions together may use, so that the agent and the rest of the machine go on. Absent: no limit. */
export interface AggregateLimits {
  readonly memoryMb?: number
  /** And threads. */
  readonly processes?: number
}

export type CgroupController = 'memory' | 'cpu' | 'pids'

/** How executions are isolated and limited on this machine. */
export interface Isolation {
  readonly starter: StarterSetup
  /** What an earlier agent has left. */
  readonly kept: KeptLaunchers
  /** Why the launcher is not used, where this system could have one. */
  readonly problem?: string
  /** Why functions are not kept apart, where that was asked for. */
  readonly notSeparate?: string
  /** Why what a function keeps on disk is not bounded, where that was asked for and functions are kept apart. */
  readonly unboundedDisk?: string
  /** Why executions have no TMPDIR of their own, where they could have one. */
  readonly noTmpdirs?: string
  /** Why a limit is not enforced; absent where it is. */
  readonly unenforced: { readonly memory?: string; readonly cpu?: string; readonly processes?: string }
  /** What all executions together may use; absent where there are no cgroups. */
  readonly aggregate?: AggregateLimits
}

/** What can be told of it without changing anything. */
export interface InspectedIsolation extends Omit<Isolation, 'starter' | 'kept'> {
  /** Where cgroups would be. */
  readonly cgroups?: string
}

export interface IsolationOptions {
  /** Identifies this agent on the machine; must exist. */
  readonly stateDir: string
  /** A folder for the starter's files. */
  readonly scratchDir: string
  readonly noNewPrivileges: boolean
  /** Processes and threads of one execution. 0: no limit. */
  readonly maxProcesses: number
  readonly oomKill: OomKill
  /** Absent: functions are not to be kept apart. */
  readonly separation?: Separation
  /** A folder that only the agent can change, for executions' temporary folders. */
  readonly tmpdirs?: string
  /** See StarterSetup. */
  readonly surviveMs: number
}

/** Resources that a process has used since its start. */
export interface ProcessUse {
  /** Over all cores. */
  readonly cpuMs: number
  readonly ageMs: number
  readonly memoryBytes: number
}

/** What the processes of a group use together; absent: not known. */
export interface GroupUse {
  /** Also of those that have ended. */
  readonly cpuMs?: number
  readonly memoryBytes?: number
}

/** The holder of a TCP port of this machine. */
export interface PortHolder {
  /** Whether it listens; otherwise the port is one end of a connection, as an outgoing one. */
  readonly listens: boolean
  /** Absent where this user cannot find it. */
  readonly process?: { readonly pid: number; readonly command: string }
}

/** Sends notifications to the service manager that started this process (sd_notify(3)). */
export interface ServiceNotifier {
  /** The watchdog's interval, ms: without a ping for this long the agent is restarted; absent: there is no watchdog. */
  readonly watchdogMs?: number
  /** Sends lines of `VARIABLE=value` as one notification, in order. Never blocks. Not before `isolate`. */
  send(...lines: readonly string[]): void
  /** As `send`, but drops the notification while earlier ones are still under way. */
  offer(...lines: readonly string[]): void
  /** Resolves when everything is sent, or after a second. */
  close(): Promise<void>
}

/** The system's limits for arguments and environment of a process. */
export interface StringLimits {
  /** Limit for one argument, or one variable with its name and `=`. */
  readonly longest: number
  /** Limit for all arguments and variables, counting one more for each. */
  readonly together: number
  readonly unit: 'bytes' | 'characters'
  sizeOf(text: string): number
}

/** What executions can have of this machine: all of it, or what a cgroup with a limit leaves. */
export interface NodeResources {
  readonly totalBytes: number
  /** What new processes can have without swapping. */
  readonly availableBytes: number
  /** Where a cgroup limits the processors: its limit in cores, and the seconds of processor time it has used. */
  readonly processors?: { readonly limit: number; readonly usedSeconds: number }
}

/** Everything that depends on the operating system. One implementation for each, chosen in index.ts. */
export interface Platform {
  /**
   * Finds out how processes can be started and limited here, and prepares it: moves the agent into a cgroup of its own,
   * and kills and removes what a crashed agent left. Main thread, once, before the first worker. Rejects with the
   * system's error.
   */
  isolate(options: IsolationOptions): Promise<Isolation>
  /**
   * What `isolate` would answer, without changing anything. Without a state folder, which need not exist, nothing is said
   * of disks.
   */
  inspectIsolation(stateDir?: string): InspectedIsolation
  /** Finds the launchers that no agent has, in a folder for starters' files. */
  keptLaunchers(scratchDir: string): Promise<KeptLaunchers>
  /** Removes what `isolate` made, but for what kept processes need. Call once the workers have ended. */
  release(isolation: Isolation): void
  /**
   * Undefined where no service manager listens. Removes its variables from `process.env`, as processes started later
   * are not the service. `report` is called, once, where notifying fails. Main thread, before anything else.
   */
  takeServiceNotifier(report: (problem: string) => void): ServiceNotifier | undefined
  /** The firewall of the agent with this state folder; undefined where this system has none. */
  firewall(stateDir: string, scratchDir: string): Firewall | undefined
  /** Calls `stop`, with a reason for the log, when another process asks this one to stop. Main thread. */
  onStopRequest(stop: (reason: string) => void): void
  /**
   * Calls `reload` when another process asks this one to reload its configuration, where the system can. Main thread.
   */
  onReloadRequest(reload: () => void): void
  /** Calls `handOver` when another process asks this one to leave its executions to the next agent. Main thread. */
  onHandoverRequest(handOver: (reason: string) => void): void
  /** Asks the agent with this pid for that. Rejects with the system's error, or why it cannot. */
  requestHandover(pid: number): Promise<void>
  /** Asks the agent with this pid to stop. Rejects with the system's error, also where there is no such agent. */
  requestStop(pid: number): Promise<void>
  /** Why a program of this name can never be started, to follow the name in a sentence; undefined where it may be. */
  handlerProblem(handler: string): string | undefined
  /**
   * Why a program cannot be started in its own folder or will fail at once, as far as its file and this machine show;
   * undefined where nothing is wrong.
   */
  programProblem(file: string): Promise<string | undefined>
  readonly strings: StringLimits
  /** Call once in each worker thread. */
  createStarter(setup: StarterSetup): ProcessStarter
  /** Sets the nice value of the calling thread and of threads it starts later, as far as permitted. */
  renice(nice: number): void
  /** Kills a group by its leader's pid. Any thread: for groups whose own thread has died. */
  killGroup(pid: number): void
  /**
   * Distinguishes a process from a later one with the same pid (on Windows, from another program); undefined where no
   * process has the pid.
   */
  processStartTime(pid: number): string | undefined
  /** Resources used by each process; those that have ended are left out. */
  usage(pids: readonly number[]): Promise<Map<number, ProcessUse>>
  /** Measures what executions can have. Call it after `isolate`; each call of its answer takes some microseconds. */
  nodeResources(): () => NodeResources
  /** What all that starters with this setup run uses; undefined where they have no cgroups. Never rejects. */
  executionsUse(setup: StarterSetup): Promise<GroupUse | undefined>
  /** The holder of a TCP port; undefined where it is free or unknown. For error messages. */
  portHolder(port: number): PortHolder | undefined
  /** The user of that name; undefined where there is none. Reads the system's database; at the start only. */
  findUser(name: string): RunAs | undefined
  /** Whether this process may start processes as another user. */
  canSwitchUser(): boolean
  /** The command that creates a user, for error messages. */
  createUserHint(name: string): string
  /** The variables that every function gets, before its own `env`: PATH, LANG, TZ, TMPDIR… */
  baseEnvironment(runAs: RunAs | undefined): Record<string, string>
}
