import { after, before, describe } from 'node:test'
import { noRedis, RedisServer, type TestRedis } from '../../harness/redis.js'
import { RedisCluster } from '../../harness/redis-cluster.js'

/** The `redis_addr` of an agent on the store a suite runs against; read inside hooks and tests. */
export type StoreAddress = () => string

/** The same cases against an embedded store and a real Redis. */
export function onEachStore(name: string, cases: (address: StoreAddress) => void): void {
  describe(`${name}, embedded store`, () => cases(() => 'embedded'))
  describe(`${name}, Redis`, { skip: noRedis }, () => {
    let redis: RedisServer
    before(async () => {
      redis = await RedisServer.start()
    })
    cases(() => redis.address)
    after(() => redis.stop())
  })
}

/** The same cases against a real Redis, which serves, and in CI against a Redis Cluster of `primaries`, by default 3. */
export function onEachRedis(
  name: string,
  { skip, primaries = 3 }: { readonly skip?: string | false; readonly primaries?: number },
  cases: (redis: TestRedis) => void,
): void {
  const each: Record<string, TestRedis> = { [name]: new RedisServer() }
  if (process.env['CI']) each[`${name}, Redis Cluster`] = new RedisCluster({ primaries, replicas: 0 })
  for (const [suite, redis] of Object.entries(each)) {
    describe(suite, { skip: skip || (noRedis ?? false) }, () => {
      before(() => redis.restart())
      cases(redis)
      after(() => redis.stop())
    })
  }
}
