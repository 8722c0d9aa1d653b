import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { noRedis, type RedisServer } from '../../../harness/redis.js'
import { RedisCluster } from '../../../harness/redis-cluster.js'
import { RedisSentinels } from '../../../harness/sentinels.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { ended, running } from '../records.js'

/** What a primary has acknowledged, and no replica has. */
describe('an end that dies with its primary', { skip: noRedis ?? false }, () => {
  async function survives(
    t: TestContext,
    address: string,
    primary: RedisServer,
    replicas: readonly RedisServer[],
    inStep: () => Promise<unknown>,
  ): Promise<void> {
    const store = new RedisStore(address)
    t.after(() => store.close())
    await store.write([{ kind: 'begin', record: running('lost') }])
    await inStep()
    for (const replica of replicas) replica.pause()
    // What is on its way to them would arrive.
    await primary.with((redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'replica'))
    await store.write([{ kind: 'end', record: ended('lost') }])
    await primary.halt()
    for (const replica of replicas) replica.resume()
    await eventually('it answers again', () => store.record('lost'), 30)
    await eventually('its end is stored', async () => (await store.record('lost'))?.status === 'success', 20)
  }

  it('is stored again by the one that Sentinels choose', async (t) => {
    const set = await RedisSentinels.start()
    t.after(() => set.stop())
    const primary = await set.primary()
    const replicas = set.servers.filter((server) => server !== primary)
    await survives(t, set.address, primary, replicas, () => set.inStep())
  })

  it('is stored again by the replica that takes over in a cluster', async (t) => {
    const cluster = await RedisCluster.start()
    t.after(() => cluster.stop())
    const primary = await cluster.primaryOf('flux:exec:lost')
    const replicas: RedisServer[] = []
    for (const server of cluster.servers) {
      const [role, , port] = await server.with((redis) => redis.role())
      if (role === 'slave' && port === primary.port) replicas.push(server)
    }
    assert.equal(replicas.length, 1)
    const inStep = () =>
      eventually('its replica has the begin', () =>
        replicas[0]?.with(async (redis) => {
          await redis.call('READONLY')
          return redis.exists('flux:exec:lost')
        }),
      )
    await survives(t, cluster.address, primary, replicas, inStep)
  })
})
