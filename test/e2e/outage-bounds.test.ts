import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, afterEach, before, beforeEach, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { deployWithFiles } from '../support/scripts.js'

const MiB = 1024 * 1024
const PART = randomBytes(MiB)
/** Of 33 MiB each. */
const FLOODS = process.env['CI'] ? 10 : 7

describe('Redis away for long', { skip: noRedis }, () => {
  let redis: RedisServer
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    redis = await RedisServer.start()
  })
  beforeEach(async () => {
    agent = await startTestAgent({
      config: { redis_addr: redis.address, workers: 1, store_backlog_bytes: '16MiB', drain_seconds: 1 },
    })
    calls = new Calls(agent.client)
    await deployWithFiles(calls, 'flood', 'for i in $(seq "$1"); do cat part; done', { part: PART })
  })
  afterEach(async () => {
    redis.resume()
    await agent.stop()
  })
  after(() => redis.stop())

  const outputOf = (id: string) => `flux:exec-output:${id}`
  const isIdle = async () => (await calls.status()).active_tasks === 0

  it('refuses new async executions beyond the bound, and drops nothing that it has accepted', async () => {
    redis.pause()
    const accepted = await calls.start('flood', ['25'])
    await eventually('it has ended', isIdle)
    const request = { function_name: 'flood', args: ['1'], execution_id: 'one-too-many', async: true }
    assert.match((await calls.execute(request)).error, /^store unavailable/)
    assert.match((await calls.execute(request)).error, /^store unavailable/)
    const sync = await calls.execute({ function_name: 'flood', args: ['1'] })
    assert.deepEqual([sync.error, sync.output.length], ['', MiB])

    redis.resume()
    const whole = Buffer.concat(new Array<Buffer>(25).fill(PART))
    await eventually(
      'all of it is stored',
      async () => (await redis.with((client) => client.getBuffer(outputOf(accepted))))?.equals(whole),
      30,
    )
    await eventually('it is accepted again', async () => (await calls.execute(request)).error === '')
    assert.equal((await calls.ended('one-too-many')).output_bytes, MiB)
  })

  it('keeps its memory within bounds, however much is printed', async () => {
    await calls.start('flood', ['40'])
    await eventually('it has ended', isIdle, 30)
    redis.pause()
    const before = ownMemoryMiB(agent.pid)
    // All accepted before the backlog is full.
    const ids = await Promise.all(Array.from({ length: FLOODS }, () => calls.start('flood', ['33'])))
    let peak = 0
    for (const id of ids) {
      await eventually(
        `${id} has ended`,
        async () => {
          peak = Math.max(peak, ownMemoryMiB(agent.pid))
          return isIdle()
        },
        60,
      )
    }
    const grown = Math.round(peak - before)
    assert.ok(grown < 150, `${33 * FLOODS} MiB printed in an outage: memory grew by ${grown} MiB`)
    redis.resume()
    for (const id of ids) {
      await eventually(`${id} is stored`, () => redis.with((client) => client.get(`flux:exec:${id}`)), 60)
      await eventually(
        `all of ${id} is stored`,
        async () => {
          const { output_bytes } = JSON.parse((await redis.with((client) => client.get(`flux:exec:${id}`))) ?? '{}')
          return output_bytes > 32 * MiB && output_bytes === (await redis.with((client) => client.strlen(outputOf(id))))
        },
        30,
      )
    }
  })
})
