import { after, before, describe } from 'node:test'
import { noRedis } from '../../../harness/redis.js'
import { RedisCluster } from '../../../harness/redis-cluster.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { storeCases } from '../store-cases.js'

describe('store in a Redis Cluster', { skip: noRedis ?? false }, () => {
  let cluster: RedisCluster
  let first: RedisStore
  let second: RedisStore

  before(async () => {
    cluster = await RedisCluster.start({ replicas: 0 })
    first = new RedisStore(cluster.address)
    second = new RedisStore(cluster.address)
  })
  after(async () => {
    await first.close()
    await second.close()
    await cluster.stop()
  })

  storeCases(
    () => first,
    () => second,
  )
})
