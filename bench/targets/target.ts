/** A measured agent: started by a bench, or any server of the contract at an address. */
export interface Target {
  /** What its rows and results are called by. */
  readonly label: string
  readonly host: string
  readonly port: number
  /** Paths of PEM files; plain where absent. */
  readonly tls?: TargetTls
  /** Needed for its memory and processor time, which are left out otherwise. */
  readonly pid?: number
  /** Port of the Redis on the loopback that stores its records. */
  readonly redisPort?: number
  /** Folder of its embedded store. */
  readonly embeddedStore?: string
}

export interface TargetTls {
  readonly ca: string
  readonly cert: string
  readonly key: string
}

/** Requirements of a bench for its own agent; given agents stay as they are. */
export interface AgentNeeds {
  readonly store: 'embedded' | 'redis'
  /** Keys of agent.yaml. */
  readonly config?: Readonly<Record<string, unknown>>
}

/** Where benches get what they measure from. */
export interface Targets {
  /** Whether they were given by their address. */
  readonly given: boolean
  /** Whether the first one is upstream's agent. */
  readonly beside: boolean
  /** Starts fresh ones; absent where they were given. */
  readonly start?: (needs: AgentNeeds) => Promise<readonly [StartedTarget, ...StartedTarget[]]>
  /** A fresh agent, or all given ones. */
  open(needs: AgentNeeds): Promise<OpenTargets>
}

/** A server that a bench has started. */
export interface StartedTarget {
  readonly target: Target
  /** Stops and starts it again, on its state; answers the milliseconds from the start to its first answer. */
  restart(): Promise<number>
  /** Ends it, and what was started for it. */
  close(): Promise<void>
}

export interface OpenTargets {
  readonly all: readonly [Target, ...Target[]]
  /** Ends what was started for it. */
  close(): Promise<void>
}
