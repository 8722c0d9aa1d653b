import { chmodSync } from 'node:fs'
import { join } from 'node:path'
import { type ChannelCredentials, credentials as grpc } from '@grpc/grpc-js'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { freePort } from '../../harness/free-port.js'
import { RedisServer } from '../../harness/redis.js'
import { tlsCredentials } from '../../src/cli/connect.js'
import { firstAnswer } from '../measure/first-answer.js'
import { type Credentials, makeCredentials } from './credentials.js'
import type { AgentNeeds, OpenTargets, StartedTarget, Target, Targets } from './target.js'
import type { Upstream } from './upstream.js'

/** The given targets; without any, a fresh agent for each bench; with `upstream`, a fresh one of it first. */
export function targetsOf([first, ...others]: readonly Target[], upstream?: Upstream): Targets {
  if (first !== undefined)
    return { given: true, beside: false, open: async () => ({ all: [first, ...others], close: async () => {} }) }
  const start = async (needs: AgentNeeds) =>
    upstream ? startBeside(upstream, needs) : ([await OwnAgent.start(needs)] as const)
  return { given: false, beside: upstream !== undefined, start, open: async (needs) => opened(await start(needs)) }
}

function opened([first, ...others]: readonly [StartedTarget, ...StartedTarget[]]): OpenTargets {
  return {
    all: [first.target, ...others.map(({ target }) => target)],
    close: async () => {
      for (const started of [first, ...others]) await started.close()
    },
  }
}

/** Upstream's agent and an own one, each as on a node that Flux has set up: with mTLS, and functions as another user. */
async function startBeside(upstream: Upstream, needs: AgentNeeds): Promise<readonly [StartedTarget, StartedTarget]> {
  const credentials = await makeCredentials()
  const theirs = await upstream.start(credentials)
  try {
    return [theirs, await OwnAgent.start(asOnNode(needs, credentials), credentials)]
  } catch (error) {
    await theirs.close()
    throw error
  }
}

function asOnNode({ store, config }: AgentNeeds, { agent }: Credentials): AgentNeeds {
  const tls = { enabled: true, ca_cert: agent.ca, cert_file: agent.cert, key_file: agent.key }
  // Test agents have fewer workers than the default.
  const node = { workers: undefined, run_as: 'nobody', apps_dir: './apps', tls }
  return { store, config: { ...node, ...config } }
}

/** An agent of this build, in a folder and with a Redis of its own. */
class OwnAgent implements StartedTarget {
  private constructor(
    private agent: TestAgent,
    private readonly redis: RedisServer | undefined,
    private readonly config: Readonly<Record<string, unknown>>,
    private readonly credentials: Credentials | undefined,
  ) {}

  static async start({ store, config = {} }: AgentNeeds, credentials?: Credentials): Promise<OwnAgent> {
    const redis = store === 'redis' ? await RedisServer.start() : undefined
    const own = { ...(redis && { redis_addr: redis.address }), ...config }
    const dir = makeTempDir('flux-bench-agent-')
    // Functions of another user have to reach their code.
    chmodSync(dir, 0o711)
    const agent = await startTestAgent({ dir, config: own, credentials: channelCredentials(credentials) })
    return new OwnAgent(agent, redis, own, credentials)
  }

  get target(): Target {
    const { port, pid, dir } = this.agent
    const stored = this.redis ? { redisPort: this.redis.port } : { embeddedStore: join(dir, 'state', 'store') }
    const tls = this.credentials && { tls: this.credentials.client }
    return { label: 'flux-agent', host: '127.0.0.1', port, pid, ...stored, ...tls }
  }

  async restart(): Promise<number> {
    const { config, credentials } = this
    const { dir } = this.agent
    await this.agent.stop()
    const port = await freePort()
    const begun = performance.now()
    const [agent, answered] = await Promise.all([
      startTestAgent({ dir, config: { ...config, port }, credentials: channelCredentials(credentials) }),
      firstAnswer({ label: 'starting', host: '127.0.0.1', port, ...(credentials && { tls: credentials.client }) }),
    ])
    this.agent = agent
    return answered - begun
  }

  async close(): Promise<void> {
    await this.agent.stop()
    await this.redis?.stop()
  }
}

function channelCredentials(credentials: Credentials | undefined): ChannelCredentials {
  if (!credentials) return grpc.createInsecure()
  const { ca, cert, key } = credentials.client
  return tlsCredentials({ caCert: ca, certFile: cert, keyFile: key })
}
