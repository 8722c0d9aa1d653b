import { join } from 'node:path'
import { startTestAgent } from '../../harness/agent.js'
import { RedisServer } from '../../harness/redis.js'
import type { AgentNeeds, OpenTargets, Target, Targets } from './target.js'

/** The given targets; without any, a fresh agent for each bench. */
export function targetsOf([first, ...others]: readonly Target[]): Targets {
  if (first === undefined) return { given: false, open: startOwn }
  return { given: true, open: async () => ({ all: [first, ...others], close: async () => {} }) }
}

async function startOwn({ store, config }: AgentNeeds): Promise<OpenTargets> {
  const redis = store === 'redis' ? await RedisServer.start() : undefined
  const agent = await startTestAgent({ config: { ...(redis && { redis_addr: redis.address }), ...config } })
  const { port, pid, dir } = agent
  const stored = redis ? { redisPort: redis.port } : { embeddedStore: join(dir, 'state', 'store') }
  return {
    all: [{ label: 'flux-agent', host: '127.0.0.1', port, pid, ...stored }],
    close: async () => {
      await agent.stop()
      await redis?.stop()
    },
  }
}
