import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { FREE_PORT, noRedis, RedisServer } from '../../../harness/redis.js'
import { RedisCluster } from '../../../harness/redis-cluster.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { StoreUnavailable } from '../../../src/store/store.js'
import { examine } from '../../cli/doctor/examine.js'
import { output, running } from '../records.js'
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

  /** What becomes of the first bytes of an execution. */
  const begin = (store: RedisStore, id: string) =>
    store.write([{ kind: 'begin', record: running(id) }, output(id, 0, 'x')])

  it('gets nothing from nodes that lead to each other, and all once they agree', async () => {
    const key = 'flux:exec:led-around'
    const owner = await cluster.primaryOf(key)
    const [other] = (await cluster.primaries()).filter((server) => server !== owner)
    assert.ok(other)
    const slot = await owner.with((redis) => redis.cluster('KEYSLOT', key))
    const names = (server: RedisServer, has: RedisServer) =>
      server.with(async (redis) => {
        const id = await has.with((named) => named.cluster('MYID'))
        await redis.call('CLUSTER', 'SETSLOT', slot, 'NODE', String(id))
      })
    await names(owner, other)
    await names(other, owner)
    const refused = () =>
      owner.with(async (redis) => Number(/errorstat_MOVED:count=(\d+)/.exec(await redis.info('errorstats'))?.[1] ?? 0))
    const before = await refused()
    const begun = performance.now()
    await assert.rejects(begin(first, 'led-around'), /MOVED.*; its nodes do not agree on who serves a slot/)
    assert.ok(performance.now() - begun < 5_000)
    const times = (await refused()) - before
    assert.ok(times > 1 && times < 20, `${times} times`)
    await names(owner, owner)
    await eventually('it is stored', () => begin(first, 'led-around').then(() => true))
  })

  it('is not what a node of an earlier epoch says, also while no other answers', async (t) => {
    const old = await RedisServer.start('--cluster-enabled', 'yes', '--cluster-port', FREE_PORT)
    await old.with(async (redis) => {
      await redis.call('CLUSTER', 'SET-CONFIG-EPOCH', 1)
      await redis.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
      await eventually('it serves', () => redis.set('flux-agent:x', ''))
      await redis.del('flux-agent:x')
    })
    t.after(() => old.stop())
    const store = new RedisStore(cluster.address.replace('//', `//127.0.0.1:${old.port},`))
    t.after(() => store.close())
    for (let i = 0; i < 20; i++) {
      await begin(store, `epoch-${i}`)
      // So that it asks again.
      await cluster.moveSlot(`flux:exec:epoch-${i}`)
    }
    await cluster.halt()
    await assert.rejects(begin(store, 'away'))
    await eventually('it knows of no other', () =>
      assert.rejects(begin(store, 'away'), /ECONNREFUSED/).then(() => true),
    )
    await cluster.restart()
    await eventually('it is stored', () => begin(store, 'back').then(() => true))
    assert.equal(await old.with((redis) => redis.dbsize()), 0)
  })

  it('is told by doctor', async () => {
    const { find } = await examine({ redis_addr: cluster.address })
    const { level, message = '' } = find('cluster') ?? {}
    assert.equal(level, 'ok', message)
    assert.match(message, /^3 primaries have all slots: 127\.0\.0\.1:\d+, /)
    assert.equal(find('store')?.level, 'ok')
  })
})

describe('an address of a cluster', { skip: noRedis ?? false }, () => {
  async function refused(address: string, why: RegExp, permanent: boolean): Promise<void> {
    const store = new RedisStore(address)
    try {
      await assert.rejects(store.probe(), (error) => {
        assert.ok(error instanceof StoreUnavailable, String(error))
        assert.match(error.message, why)
        assert.equal(error.permanent, permanent)
        return true
      })
    } finally {
      await store.close()
    }
  }

  it('is refused where a Redis that is none answers', async () => {
    const server = await RedisServer.start()
    await refused(`redis+cluster://127.0.0.1:${server.port}`, /cluster support disabled; .*write redis:\/\//, true)
    await server.stop()
  })

  it('is away where nobody answers, or not all slots are served', async () => {
    await refused('redis+cluster://127.0.0.1:1,127.0.0.1:2', /127\.0\.0\.1:1: .*ECONNREFUSED/, false)
    const server = await RedisServer.start('--cluster-enabled', 'yes', '--cluster-port', FREE_PORT)
    const address = `redis+cluster://127.0.0.1:${server.port}`
    await refused(address, /no node has .* slots; redis-cli --cluster check/, false)
    await server.with((redis) => redis.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 100, 8_000))
    const told = (await examine({ redis_addr: address })).find('cluster')
    assert.deepEqual([told?.level, told?.message], ['warn', 'no node has slots 0-99,8001-16383'])
    await server.with((redis) => redis.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 0, 99))
    await refused(address, /no node has .* slots; redis-cli --cluster check|CLUSTERDOWN.*; not all of its slots/, false)
    await server.with((redis) => redis.cluster('ADDSLOTSRANGE' as 'ADDSLOTS', 8_001, 16_383))
    const store = new RedisStore(address)
    await eventually('it serves', () => store.probe().then(() => true))
    await store.close()
    await server.stop()
  })
})
