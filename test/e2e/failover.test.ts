import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { noRedis, type RedisServer } from '../../harness/redis.js'
import { RedisSentinels } from '../../harness/sentinels.js'
import { awaitGate, Gate } from '../support/scripts.js'

const EXECUTIONS = process.env['CI'] ? 50 : 10
const LINES = 10_000
const NUMBERS = Buffer.from(Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join(''))

describe('failover with async executions that print', { skip: noRedis ?? false }, () => {
  let set: RedisSentinels
  let agent: TestAgent
  let calls: Calls
  before(async () => {
    set = await RedisSentinels.start()
    agent = await startTestAgent({ config: { redis_addr: set.address, workers: 2 } })
    calls = new Calls(agent.client)
    // Slow enough that it is written in many batches, before, during and after.
    await calls.script(
      'count',
      `for from in $(seq 1 500 ${LINES}); do seq $from $((from + 499)); sleep 0.25; done; [ -z "$1" ] || ${awaitGate(1)}`,
    )
  })
  after(async () => {
    await agent.stop()
    await set.stop()
  })

  const startAll = (number: number, args: string[] = []) =>
    Promise.all(Array.from({ length: number }, () => calls.start('count', args)))

  /** Whether the record and every byte are in the primary. */
  async function isStored(primary: RedisServer, id: string): Promise<boolean> {
    const [record, output, gaps] = await primary.with((client) =>
      Promise.all([
        client.get(`flux:exec:${id}`),
        client.getBuffer(`flux:exec-output:${id}`),
        client.exists(`flux:exec-gaps:${id}`),
      ]),
    )
    return JSON.parse(record ?? '{}').status === 'success' && output?.equals(NUMBERS) === true && gaps === 0
  }

  async function assertStored(ids: readonly string[]): Promise<void> {
    const primary = await set.primary()
    for (const id of ids) await eventually(`${id} is stored whole`, () => isStored(primary, id), 30)
    assert.deepEqual(await primary.with((client) => client.smembers('flux-agent:running:test-agent')), [])
  }

  it('stores all once and in order when the primary dies', async () => {
    const ids = await startAll(EXECUTIONS)
    const dying = await set.primary()
    await dying.halt()
    // While there is no primary, none is refused.
    ids.push(await calls.start('count'))
    await set.replaced(dying)
    await dying.restart()
    await assertStored(ids)
    await set.inStep()
  })

  it('stores all once and in order when the primary stops and goes on as a replica', async () => {
    const ids = await startAll(EXECUTIONS)
    const stopping = await set.primary()
    stopping.pause()
    ids.push(await calls.start('count'))
    await set.replaced(stopping)
    ids.push(await calls.start('count'))
    stopping.resume()
    await assertStored(ids)
    await set.inStep()
    assert.match(await stopping.with((client) => client.info('replication')), /role:slave/)
  })

  it('ends no execution twice, and answers from the new primary, when an operator fails over', async () => {
    const gate = new Gate()
    const ids = await startAll(EXECUTIONS, [gate.path])
    const before = await set.primary()
    await set.failOver()
    // What it accepts until the agent leaves it is lost, as are the last records.
    await eventually('the agent has left the old primary', () =>
      before.with(async (redis) => {
        const clients = String(await redis.call('CLIENT', 'LIST', 'TYPE', 'normal'))
          .trim()
          .split('\n')
        return clients.filter((client) => !client.includes(' name=sentinel-')).length === 1
      }),
    )
    gate.open()
    for (const id of ids) {
      const record = await calls.ended(id)
      assert.deepEqual([record.status, record.output_bytes], ['success', NUMBERS.length])
    }
  })

  it('starts while Sentinels have no primary yet, and serves as soon as they have', async () => {
    await set.inStep()
    const stopping = await set.primary()
    await agent.stop()
    stopping.pause()
    agent = await startTestAgent({ dir: agent.dir, config: { redis_addr: set.address, workers: 2 } })
    calls = new Calls(agent.client)
    stopping.resume()
    await assertStored(await startAll(1))
  })
})
