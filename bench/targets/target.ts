/** An agent that is measured: one that a bench has started, or any server of the contract at an address. */
export interface Target {
  /** What its rows and results are called by. */
  readonly label: string
  readonly host: string
  readonly port: number
  /** Paths of PEM files; plain where absent. */
  readonly tls?: TargetTls
  /** For its memory and processor time, which are not told where it is unknown. */
  readonly pid?: number
  /** Of the Redis that it keeps its records in, on the loopback. */
  readonly redisPort?: number
  /** Folder of its embedded store. */
  readonly embeddedStore?: string
}

export interface TargetTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** What a bench needs its own agent to be; an agent at an address is what it is. */
export interface AgentNeeds {
  readonly store: 'embedded' | 'redis'
  /** Keys of agent.yaml. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** Where benches get what they measure from. */
export interface Targets {
  /** Whether they were given by their address. */
  readonly given: boolean
  /** One agent of its own, fresh, or all that were given by their address. */
  open(needs: AgentNeeds): Promise<OpenTargets>
}

export interface OpenTargets {
  readonly all: readonly [Target, ...Target[]]
  /** Ends what was started for it. */
  close(): Promise<void>
}
