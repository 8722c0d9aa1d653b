import type { ClientTls } from '../access/client-tls.js'
import type { ArchiveLimits } from '../archive/limits.js'
import type { FunctionNetwork, NetworkTarget, OomKill, UidRange } from '../os/platform.js'
import type { StoreLocation } from '../store/open.js'
import type { Endpoint } from './endpoint.js'
import type { LogLevel } from './schema.js'
import type { Sources } from './sources.js'

/** The agent's configuration: validated, defaults filled in, all paths absolute. */
export interface AgentConfig extends Sources {
  readonly agentId: string
  /** Address to listen on. `::`: all addresses, IPv6 where the machine has it, and IPv4. */
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly store: StoreLocation
  readonly network: { readonly privateIp?: string; readonly publicIp?: string }
  /** What separate functions cannot reach, beside the agent and its store. */
  readonly deny: readonly NetworkTarget[]
  readonly functions: FunctionsConfig
  /** Absent: no TLS. */
  readonly tls?: TlsConfig
  /** Executions that run at once on this node; 0: no limit. */
  readonly maxTasks: number
  /** Executions that may wait for a slot on this node. */
  readonly maxQueued: number
  readonly maxOutputBytes: number
  readonly backlogBytes: number
  readonly drainSeconds: number
  /** How long executions go on without their agent. */
  readonly surviveSeconds: number
  /** The user that functions run as; `self`: the agent's own. */
  readonly runAs: { readonly kind: 'self' } | { readonly kind: 'user'; readonly name: string }
  /** Whether that user may be root, under any name. */
  readonly allowRoot: boolean
  /** Absent: `apps` in the runner's home, or in the state folder where functions run as the agent's own user. */
  readonly appsDir?: string
  readonly stateDir: string
  readonly archive: ArchiveLimits
  /** Where metrics and the page are served; absent: nowhere, and nothing is counted. */
  readonly metrics?: MetricsConfig
  /** Where the spans of executions go; absent: nobody records them. */
  readonly traces?: TracesConfig
  /** Worker threads that supervise processes. */
  readonly workers: number
  readonly isolation: IsolationConfig
  readonly logLevel: LogLevel
}

export interface IsolationConfig {
  /** Whether functions with limits that this node cannot enforce are refused, rather than run without. */
  readonly required: boolean
  /** No program, setuid or not, gives a function more rights than its user has (prctl(2)). */
  readonly noNewPrivileges: boolean
  /** Processes and threads of one execution; 0: no limit. */
  readonly maxProcesses: number
  readonly oomKill: OomKill
}

/** How functions are kept apart. */
export interface FunctionsConfig {
  /** Whether each runs as a user of its own, in a sandbox, where this node can do that. */
  readonly separate: boolean
  /** Their user and group ids, both ends included. */
  readonly uids: UidRange
  /** What one may keep in /tmp, /var/tmp and /dev/shm together, bytes. */
  readonly tmpBytes: number
  /** What one may keep on disk: its home, caches and temporary folders, bytes; 0: no limit. */
  readonly diskBytes: number
  /** The node's, or none but a loopback of their own. */
  readonly network: FunctionNetwork
  /** Whether interpreters keep compiled code between executions. */
  readonly codeCache: boolean
}

export interface MetricsConfig extends Endpoint {
  /** Names that this node may be called by, beside its own, in lower case; with a dot before it all names below. */
  readonly allowedHosts: readonly string[]
}

/** A collector of spans. */
export interface TracesConfig extends ClientTls {
  /** A URL. */
  readonly endpoint: string
  /** The path of a file with the headers of each request, such as its credentials. */
  readonly headersFile?: string
}

export interface TlsConfig {
  readonly caCert: string
  readonly certFile: string
  readonly keyFile: string
  /** Names (CN or DNS SAN) of clients that may call. */
  readonly allowedClients: readonly string[]
}
