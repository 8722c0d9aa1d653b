import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { noRedis } from '../../../harness/redis.js'
import { RedisCluster } from '../../../harness/redis-cluster.js'
import type { QueueEvent } from '../../../src/store/queue/write-queue.js'
import { WriteQueues } from '../../../src/store/queue/write-queues.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { isEmpty } from './all-stored.js'
import { assertWhole, type Happenings, IDS, MiB, produce } from './four-executions.js'

/** Longer than a stop that nobody takes over for, shorter than one that somebody does. */
const NODE_TIMEOUT_MS = 5_000

/** Four executions, on different nodes, that write 8 MiB each while something happens to the cluster. */
describe('write queues before a Redis Cluster', { skip: noRedis ?? false }, () => {
  let cluster: RedisCluster
  let dir: string
  let store: RedisStore
  let queues: WriteQueues
  let events: QueueEvent[]

  before(async () => {
    cluster = await RedisCluster.start({ nodeTimeoutMs: NODE_TIMEOUT_MS })
  })
  after(() => cluster.stop())
  beforeEach(async () => {
    await eventually('the cluster is whole', () => cluster.isWhole(), 30)
    dir = await mkdtemp(join(tmpdir(), 'flux-queues-cluster-'))
    for (const server of await cluster.primaries()) await server.with((redis) => redis.flushall())
    store = new RedisStore(cluster.address)
    // Knows where the slots are from then on.
    await store.record('a')
    events = []
    queues = new WriteQueues({ store, dir, boundBytes: 1e9, report: (event) => events.push(event) })
  })
  afterEach(async () => {
    await queues.close()
    await store.close()
    await rm(dir, { recursive: true })
  })

  async function stores(happenings: Happenings, then: () => unknown = () => {}): Promise<void> {
    const { stored, peak } = await produce((id) => queues.for(id), happenings)
    assert.ok(new Set(IDS.map((id) => queues.for(id))).size > 1)
    assert.ok(peak <= 2 * MiB, `${peak} bytes`)
    await then()
    await eventually('all is stored', () => IDS.every((id) => stored.includes(`${id} ends`)), 40)
    await assertWhole(store, stored)
    assert.deepEqual(
      events.filter(({ kind }) => kind === 'lost' || kind === 'disk-failed'),
      [],
    )
    await queues.close()
    assert.deepEqual(await readdir(dir), [])
  }

  /** The primary of the first execution. */
  const first = () => cluster.primaryOf('flux:exec:a')

  it('store all of it, and no node is away', async () => {
    await stores({})
    assert.deepEqual(events, [])
  })

  it('store all of it when a primary stops for longer than a second and goes on', async () => {
    const stopped = await first()
    const queue = queues.for('a')
    let resumed: Promise<unknown> | undefined
    const stop = () => {
      stopped.pause()
      // Before its replica takes over, however long the rest takes.
      resumed = eventually('it is away', () => queue.away).finally(() => stopped.resume())
      resumed.catch(() => 'told once it is waited for')
    }
    await stores({ [MiB]: stop }, () => resumed)
    assert.ok(events.some(({ kind }) => kind === 'away'))
  })

  it('store all of it when a primary stops until its replica has taken over, and goes on after that', async () => {
    const stopped = await first()
    const replaced = async () => !(await stopped.with((redis) => redis.role())).includes('master')
    const stop = async () => {
      // What it has acknowledged and its replica does not have is lost with it.
      await eventually('its replica has all', async () => {
        if (!IDS.every((id) => isEmpty(queues.for(id)))) return false
        const info = await stopped.with((redis) => redis.info('replication'))
        const [, has] = /slave0:.*offset=(\d+)/.exec(info) ?? []
        return info.includes(`master_repl_offset:${has}\r`)
      })
      stopped.pause()
    }
    await stores({ [MiB]: stop }, async () => {
      // As soon as another node is known to have taken over, while the batch that it has not answered is sent again.
      await eventually('it is replaced', () => store.nodeOf('a') !== `127.0.0.1:${stopped.port}`, 30)
      stopped.resume()
      await eventually('it is a replica', replaced, 30)
    })
  })

  it('store all of it when connections break again and again', async () => {
    const breaking = async () => {
      for (const server of await cluster.primaries()) {
        await server.with((redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'normal'))
      }
    }
    await stores(Object.fromEntries([1, 2, 3, 4, 5, 6].map((n) => [n * MiB, breaking])))
  })

  it('store all of it when their slots move again and again', async () => {
    const moving = async () => {
      for (const id of IDS) await cluster.moveSlot(`flux:exec:${id}`)
    }
    await stores(Object.fromEntries([1, 3, 5].map((n) => [n * MiB, moving])))
  })
})
