import { Redis } from 'ioredis'
import type { ExecutionRecord } from '../../src/store/record.js'
import type { Server } from './control.js'
import { recordKey } from './stored.js'

/** Reads records of executions: from the server's Redis if known, else by calls. */
export interface Records {
  /** In the order of the ids; undefined for each that has none. */
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
  // The failing command reports it.
  redis.on('error', () => {})
  return {
    read: async (ids) => {
      const values = await redis.mget(ids.map(recordKey))
      return values.map((value) => (value === null ? undefined : (JSON.parse(value) as ExecutionRecord)))
    },
    close: () => redis.disconnect(),
  }
}
