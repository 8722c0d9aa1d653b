import type { TestRedis } from '../../harness/redis.js'
import type { ExecutionRecord } from '../../src/store/record.js'

/** What a Redis has of an execution. */
export interface Stored {
  readonly record: ExecutionRecord | undefined
  readonly output: Buffer
  /** Seconds that both have left; negative: not there, or for ever. */
  readonly leftSeconds: readonly [record: number, output: number]
}

/** Reads the keys themselves, and not through the agent's code. */
export async function storedOf(redis: Pick<TestRedis, 'address' | 'primaryOf'>, id: string): Promise<Stored> {
  const key = `flux:exec:${id}`
  const outputKey = redis.address.includes('+cluster:') ? `flux-agent:output:{${key}}` : `flux:exec-output:${id}`
  const server = await redis.primaryOf(key)
  const [record, output, ...leftSeconds] = await server.with((client) =>
    Promise.all([client.get(key), client.getBuffer(outputKey), client.ttl(key), client.ttl(outputKey)]),
  )
  return { record: record === null ? undefined : JSON.parse(record), output: output ?? Buffer.alloc(0), leftSeconds }
}
