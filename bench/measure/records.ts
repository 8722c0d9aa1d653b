import { Redis } from 'ioredis'
import type { ExecutionRecord } from '../../src/store/record.js'
import type { Server } from './control.js'
import { recordKey } from './stored.js'

/** Looks at the records of executions: in the server's Redis where that is known, else by asking the server. */
export interface Records {
  /** In the order of the ids; undefined where there is none. */
  read(ids: readonly string[]): Promise<(ExecutionRecord | undefined)[]>
  close(): void
}

export function recordsOf({ target, calls }: Server): Records {
  if (target.redisPort !== undefined) return inRedis(target.redisPort)
  return {
    read: (ids) =>
      Promise.all(
        ids.map(async (id) => {
          const { found, data } = await calls.get(id)
          return found ? (JSON.parse(data.toString()) as ExecutionRecord) : undefined
        }),
      ),
    close: () => {},
  }
}

function inRedis(port: number): Records {
  const redis = new Redis(port, '127.0.0.1', { maxRetriesPerRequest: 0 })
  // The command that fails says it.
  redis.on('error', () => {})
  return {
    read: async (ids) => {
      const values = await redis.mget(ids.map(recordKey))
      return values.map((value) => (value === null ? undefined : (JSON.parse(value) as ExecutionRecord)))
    },
    close: () => redis.disconnect(),
  }
}
