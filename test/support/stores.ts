import { after, before, describe } from 'node:test'
import { noRedis, RedisServer } from '../../harness/redis.js'

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
