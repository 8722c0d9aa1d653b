import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noRedis, type RedisServer } from '../../harness/redis.js'
import { RedisCluster } from '../../harness/redis-cluster.js'
import { RedisStore } from '../../src/store/redis/redis-store.js'
import { awaitGate, Gate } from '../support/scripts.js'

const EXECUTIONS = process.env['CI'] ? 50 : 12
const LINES = 20_000
const NUMBERS = Buffer.from(Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join(''))
const NODE_TIMEOUT_MS = 5_000

describe('an agent on a Redis Cluster', { skip: noRedis ?? false }, () => {
  let cluster: RedisCluster
  let agent: TestAgent
  let calls: Calls
  let store: RedisStore

  before(async () => {
    cluster = await RedisCluster.start({ nodeTimeoutMs: NODE_TIMEOUT_MS })
    agent = await startTestAgent({ config: { redis_addr: cluster.address, workers: 2, drain_seconds: 1 } })
    calls = new Calls(agent.client)
    store = new RedisStore(cluster.address)
    // Slow enough that it is written in many batches.
    await calls.script('count', `for from in $(seq 1 500 ${LINES}); do seq $from $((from + 499)); sleep 0.1; done`)
    await calls.script('gated', `echo before; ${awaitGate(1)}; echo after`)
  })
  after(async () => {
    for (const server of cluster.servers) server.resume()
    await store.close()
    await agent.stop().finally(() => cluster.stop())
  })

  const start = () => Promise.all(Array.from({ length: EXECUTIONS }, () => calls.start('count')))

  /** An id whose record is on that node, or on another. */
  async function idOn(server: RedisServer, there = true): Promise<string> {
    for (;;) {
      const id = randomUUID()
      if (((await cluster.primaryOf(`flux:exec:${id}`)) === server) === there) return id
    }
  }

  const ended = (id: string) => async () => (await store.record(id))?.status === 'success'

  /** Every byte is there, or in a gap that the record counts, as a primary that dies takes what no replica has. */
  async function assertKept(id: string, mayLose = false): Promise<void> {
    await eventually(`${id} is stored`, ended(id), 60)
    const gaps = await store.gaps(id)
    const record = await store.record(id)
    assert.equal(record?.output_bytes, NUMBERS.length)
    assert.equal(
      gaps.reduce((sum, { from, to }) => sum + to - from, 0),
      record?.output_lost_bytes ?? 0,
    )
    if (!mayLose) assert.deepEqual(gaps, [])
    const ends = [...gaps, { from: NUMBERS.length, to: NUMBERS.length }]
    for (const [index, { from: end }] of ends.entries()) {
      const at = gaps[index - 1]?.to ?? 0
      const bytes = await store.output(id, at, end)
      assert.ok(bytes.equals(NUMBERS.subarray(at, end)), `${id} from ${at} to ${end}`)
    }
  }

  it('loses and doubles nothing while the slots of executions that print move', async () => {
    const ids = await start()
    for (const id of ids) await cluster.moveSlot(`flux:exec:${id}`, () => sleep(30))
    for (const id of ids) await assertKept(id)
  })

  it('accepts, and later stores, executions of a slot that stays half moved for a while', async () => {
    const id = randomUUID()
    await cluster.moveSlot(`flux:exec:${id}`, async () => {
      await calls.start('count', [], id)
      await sleep(1_500)
    })
    await assertKept(id)
  })

  it('goes on with the executions of other nodes while one stands still, and then with its own', async () => {
    const gate = new Gate()
    const [paused] = await cluster.primaries()
    assert.ok(paused)
    // Of each worker.
    const there = await Promise.all(Array.from({ length: 4 }, () => idOn(paused)))
    const elsewhere = await Promise.all([idOn(paused, false), idOn(paused, false)])
    for (const id of [...there, ...elsewhere]) await calls.start('gated', [gate.path], id)
    for (const id of [...there, ...elsewhere]) await calls.printed(id, 'before')
    const during = await Promise.all(Array.from({ length: 4 }, () => idOn(paused, false)))
    const others = new RedisStore(cluster.address)
    await others.record(elsewhere[0] as string)
    paused.pause()
    gate.open()
    const begun = performance.now()
    // By then their last writes are on their way to the node that stands still.
    await sleep(300)
    for (const id of during) await calls.start('gated', [gate.path], id)
    for (const id of [...elsewhere, ...during])
      await eventually(`${id} is stored`, async () => (await others.record(id))?.status === 'success', 5)
    const took = performance.now() - begun
    paused.resume()
    await others.close()
    assert.ok(took < NODE_TIMEOUT_MS, `after ${took} ms its node may have been replaced`)
    for (const id of there) {
      await eventually(`${id} is stored`, ended(id), 30)
      assert.equal(String(await store.output(id, 0, 100)), 'before\nafter\n')
    }
  })

  it('goes on at the replica when a primary dies under load', async () => {
    const ids = await start()
    const [doomed] = await cluster.primaries()
    assert.ok(doomed)
    const id = await idOn(doomed)
    await doomed.halt()
    const begun = performance.now()
    await calls.start('count', [], id)
    assert.ok(performance.now() - begun < NODE_TIMEOUT_MS, 'it has waited for the replica')
    for (const one of [...ids, id]) await assertKept(one, true)
    await doomed.restart()
    await eventually('the cluster is whole', () => cluster.isWhole(), 30)
    assert.deepEqual(await store.functions(assert.fail).then((all) => all.map(({ name }) => name).sort()), [
      'count',
      'gated',
    ])
  })

  it('ends what an agent has left, on whichever node', async () => {
    const gate = new Gate()
    const ids = await Promise.all(Array.from({ length: 6 }, () => calls.start('gated', [gate.path])))
    for (const id of ids) await calls.printed(id, 'before')
    await agent.kill()
    gate.open()
    agent = await startTestAgent({
      dir: agent.dir,
      config: { redis_addr: cluster.address, workers: 2, drain_seconds: 1 },
    })
    calls = new Calls(agent.client)
    for (const id of ids) {
      const record = await calls.ended(id)
      assert.equal(record.output, 'before\nafter\n')
      await eventually('it runs no more', async () => {
        const sets = await Promise.all(
          (await cluster.primaries()).map((one) => one.with((redis) => redis.keys('flux-agent:running:*'))),
        )
        return sets.flat().length === 0
      })
    }
  })
})
