import { after, before, describe, type TestContext } from 'node:test'
import { startTestAgent, type TestAgent, type TestAgentOptions } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { noRedis, RedisServer } from '../../harness/redis.js'

export interface AgentSuiteOptions extends Omit<TestAgentOptions, 'dir'> {
  /** With `both` there are two suites of the same cases, named by their stores. */
  readonly store?: 'embedded' | 'redis' | 'both'
  /** Run once Redis serves, where that is the store, and before the agent starts. */
  readonly beforeStart?: (redis: RedisServer) => unknown
  /** Why the suite is skipped. */
  readonly skip?: string | boolean | undefined
}

export interface AgentSuite {
  readonly agent: SuiteAgent
  /** To the agent that runs at the time. */
  readonly calls: Calls
  /** Its store, where that is Redis. */
  readonly redis: RedisServer
}

/**
 * A suite with a real agent, which serves before the suite's own `before` hooks, and has ended after its `after` hooks;
 * so has Redis, where it is the store. Needs no clean-up, also where a case fails.
 */
export function describeAgent(name: string, cases: (suite: AgentSuite) => void): void
export function describeAgent(name: string, options: AgentSuiteOptions, cases: (suite: AgentSuite) => void): void
export function describeAgent(
  name: string,
  given: AgentSuiteOptions | ((suite: AgentSuite) => void),
  cases = given as (suite: AgentSuite) => void,
): void {
  const { store = 'embedded', skip, ...options } = given === cases ? {} : (given as AgentSuiteOptions)
  const suffixes = store === 'both' ? { embedded: ', embedded store', redis: ', Redis' } : { [store]: '' }
  for (const [kind, suffix] of Object.entries(suffixes)) {
    const why = skip || (kind === 'redis' && noRedis) || false
    describe(`${name}${suffix}`, { skip: why }, () => withAgent(options, kind === 'redis', cases))
  }
}

function withAgent(
  { beforeStart, ...options }: AgentSuiteOptions,
  onRedis: boolean,
  cases: (suite: AgentSuite) => void,
): void {
  const redis = new RedisServer()
  const agent = new SuiteAgent(() => ({
    ...options,
    config: { ...(onRedis && { redis_addr: redis.address }), ...options.config },
  }))
  before(async () => {
    if (onRedis) await redis.restart()
    await beforeStart?.(redis)
    await agent.start()
  })
  cases({ agent, calls: new Calls(() => agent.client), redis })
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
