import { after, before, describe, type TestContext } from 'node:test'
import { startTestAgent, type TestAgent, type TestAgentOptions } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { noRedis, RedisServer, type TestRedis } from '../../harness/redis.js'
import { RedisCluster } from '../../harness/redis-cluster.js'
import { RedisBehindSentinel } from '../../harness/sentinels.js'

/** What an agent of a suite stores in, and how the suite's name ends where there are several. */
const STORES = {
  embedded: { suffix: 'embedded store', make: () => new RedisServer() },
  redis: { suffix: 'Redis', make: () => new RedisServer() },
  sentinel: { suffix: 'Redis behind a Sentinel', make: () => new RedisBehindSentinel() },
  // Without replicas: what happens to all nodes at once would end in failovers that lose what Redis did not keep.
  cluster: { suffix: 'Redis Cluster', make: () => new RedisCluster({ replicas: 0 }) },
} satisfies Record<string, { suffix: string; make: () => TestRedis }>

export type StoreKind = keyof typeof STORES

type RedisOf<Kind extends StoreKind> = ReturnType<(typeof STORES)[Kind]['make']>

export interface AgentSuiteOptions<Kind extends StoreKind = StoreKind> extends Omit<TestAgentOptions, 'dir'> {
  /** With several there is a suite of the same cases for each. */
  readonly store?: Kind | readonly Kind[]
  /** Run once Redis serves, where that is the store, and before the agent starts. */
  beforeStart?(redis: RedisOf<Kind>): unknown
  /** Why the suite is skipped. */
  readonly skip?: string | boolean | undefined
}

export interface AgentSuite<Kind extends StoreKind = StoreKind> {
  readonly agent: SuiteAgent
  /** To the agent that runs at the time. */
  readonly calls: Calls
  /** Its store, where that is no embedded one. */
  readonly redis: RedisOf<Kind>
}

/**
 * A suite with a real agent, which serves before the suite's own `before` hooks, and has ended after its `after` hooks;
 * so has Redis, where it is the store. Needs no clean-up, also where a case fails.
 */
export function describeAgent(name: string, cases: (suite: AgentSuite<'embedded'>) => void): void
export function describeAgent<Kind extends StoreKind = 'embedded'>(
  name: string,
  options: AgentSuiteOptions<Kind>,
  cases: (suite: AgentSuite<Kind>) => void,
): void
export function describeAgent(
  name: string,
  given: AgentSuiteOptions | ((suite: AgentSuite<never>) => void),
  cases = given as (suite: AgentSuite<never>) => void,
): void {
  const { store = 'embedded', skip, ...options } = given === cases ? {} : (given as AgentSuiteOptions)
  const kinds = [store].flat() as StoreKind[]
  for (const kind of kinds) {
    const why = skip || (kind !== 'embedded' && noRedis) || false
    const suffix = kinds.length > 1 ? `, ${STORES[kind].suffix}` : ''
    describe(`${name}${suffix}`, { skip: why }, () => withAgent(options, kind, cases))
  }
}

function withAgent(
  { beforeStart, ...options }: AgentSuiteOptions,
  kind: StoreKind,
  cases: (suite: AgentSuite<never>) => void,
): void {
  const redis: TestRedis = STORES[kind].make()
  const agent = new SuiteAgent(() => ({
    ...options,
    config: { ...(kind !== 'embedded' && { redis_addr: redis.address }), ...options.config },
  }))
  before(async () => {
    if (kind !== 'embedded') await redis.restart()
    await beforeStart?.(redis as never)
    await agent.start()
  })
  cases({ agent, calls: new Calls(() => agent.client), redis: redis as never })
  // Those of the cases come first.
  after(async () => {
    redis.resume()
    await agent.stop().finally(() => redis.stop())
  })
}

/** An agent for one case, which has ended after it. */
export async function agentFor(t: TestContext, options?: TestAgentOptions): Promise<[TestAgent, Calls]> {
  const agent = await startTestAgent(options)
  t.after(() => agent.stop())
  return [agent, new Calls(agent.client)]
}

/** The agent of a suite: after a start another one, on the same folder unless it is given one. */
export class SuiteAgent implements TestAgent {
  #running: TestAgent | undefined

  constructor(private readonly options: () => TestAgentOptions) {}

  /** Keys of `config` are over those of the suite. */
  async start(options: TestAgentOptions = {}): Promise<void> {
    const own = this.options()
    const dir = this.#running && { dir: this.#running.dir }
    this.#running = await startTestAgent({ ...own, ...dir, ...options, config: { ...own.config, ...options.config } })
  }

  async restart(options?: TestAgentOptions): Promise<void> {
    await this.stop()
    await this.start(options)
  }

  async stop(): Promise<number | null> {
    return (await this.#running?.stop()) ?? null
  }

  async kill(): Promise<void> {
    await this.#running?.kill()
  }

  get client() {
    return this.current.client
  }

  get operations() {
    return this.current.operations
  }

  get port() {
    return this.current.port
  }

  get pid() {
    return this.current.pid
  }

  get configFile() {
    return this.current.configFile
  }

  get dir() {
    return this.current.dir
  }

  logs(): string {
    return this.current.logs()
  }

  private get current(): TestAgent {
    if (!this.#running) throw new Error('the agent of this suite is not started yet')
    return this.#running
  }
}
