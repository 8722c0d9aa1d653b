import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { afterEach, beforeEach, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import type { TestRedis } from '../../harness/redis.js'
import { deployWithFiles } from '../support/scripts.js'
import { storedOf } from '../support/stored.js'
import { onEachRedis } from '../support/stores.js'

const MiB = 1024 * 1024
const PART = randomBytes(MiB)
/** Of 33 MiB each. */
const FLOODS = process.env['CI'] ? 10 : 5

onEachRedis('Redis away for long', {}, (redis) => {
  let agent: TestAgent
  let calls: Calls

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
  const isIdle = async () => (await calls.status()).active_tasks === 0

  it('refuses new async executions beyond the bound, and drops nothing that it has accepted', async () => {
    const oneTooMany = randomUUID()
    // On the same node: each has a bound of its own.
    const first = await anotherOn(redis, oneTooMany)
    redis.pause()
    const accepted = await calls.start('flood', ['25'], first)
    await eventually('it has ended', isIdle)
    const request = { function_name: 'flood', args: ['1'], execution_id: oneTooMany, async: true }
    assert.match((await calls.execute(request)).error, /^store unavailable/)
    assert.match((await calls.execute(request)).error, /^store unavailable/)
    const sync = await calls.execute({ function_name: 'flood', args: ['1'] })
    assert.deepEqual([sync.error, sync.output.length], ['', MiB])

    redis.resume()
    const whole = Buffer.concat(new Array<Buffer>(25).fill(PART))
    await eventually('all of it is stored', async () => (await storedOf(redis, accepted)).output.equals(whole), 30)
    await eventually('it is accepted again', async () => (await calls.execute(request)).error === '')
    assert.equal((await calls.ended(oneTooMany)).output_bytes, MiB)
  })

  it('keeps its memory within bounds, however much is printed', async () => {
    await calls.start('flood', ['40'])
    await eventually('it has ended', isIdle, 30)
    redis.pause()
    const before = ownMemoryMiB(agent.pid)
    const floods = redis.servers.length === 1 ? FLOODS : 4
    // All accepted before the backlog is full.
    const ids = await Promise.all(Array.from({ length: floods }, () => calls.start('flood', ['33'])))
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
    assert.ok(grown < 150, `${33 * floods} MiB printed in an outage: memory grew by ${grown} MiB`)
    redis.resume()
    for (const id of ids) {
      await eventually(
        `${id} is stored, and all of it`,
        async () => {
          const { record, output } = await storedOf(redis, id)
          return output.length > 32 * MiB && output.length === record?.output_bytes
        },
        60,
      )
    }
  })
})

/** An id on the same node. */
async function anotherOn(redis: TestRedis, id: string): Promise<string> {
  const server = await redis.primaryOf(`flux:exec:${id}`)
  for (;;) {
    const other = randomUUID()
    if ((await redis.primaryOf(`flux:exec:${other}`)) === server) return other
  }
}
