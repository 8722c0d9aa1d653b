import assert from 'node:assert/strict'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import type { RedisServer } from '../../harness/redis.js'
import { describeAgent } from '../support/describe-agent.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { storedOf } from '../support/stored.js'

const LINES = 20_000
const NUMBERS = Buffer.from(Array.from({ length: LINES }, (_, i) => `${i + 1}\n`).join(''))

const BROKEN_MIN = 10

const EVERY_REDIS = ['redis', 'cluster'] as const

describeAgent('Redis under load', { store: EVERY_REDIS }, ({ calls, redis }) => {
  before(async () => {
    // Slow enough that it is written in many batches.
    await calls.script('count', `for from in $(seq 1 500 ${LINES}); do seq $from $((from + 499)); sleep 0.05; done`)
    await calls.script('gated', `echo before; ${awaitGate(1)}; echo after`)
  })

  async function assertStored(id: string): Promise<void> {
    const whole = async () => {
      const { record, output } = await storedOf(redis, id)
      return record?.status === 'success' && output.equals(NUMBERS)
    }
    await eventually(`${id} is stored whole`, whole, 30)
  }

  it('gets all once and in order though connections break all the time', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => calls.start('count')))
    let broken = 0
    await eventually(
      'all have ended',
      async () => {
        broken += (await Promise.all(redis.servers.map(breakConnections))).reduce((sum, one) => sum + one)
        // Where they end quickly, it takes more of them.
        if (broken <= BROKEN_MIN) ids.push(await calls.start('count'))
        return broken > BROKEN_MIN && (await calls.status()).active_tasks === 0
      },
      60,
    )
    for (const id of ids) await assertStored(id)
  })

  it('gets all once and in order though it is paused and goes on several times', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => calls.start('count')))
    for (let round = 0; round < 3; round++) {
      redis.pause()
      // While it is away none is refused.
      ids.push(await calls.start('count'))
      redis.resume()
      await Promise.all(redis.servers.map((server) => server.with((client) => client.ping())))
    }
    for (const id of ids) await assertStored(id)
  })

  it('gets all that ends after it has lost its data and has come back empty', async () => {
    const gate = new Gate()
    const begunBefore = await calls.start('gated', [gate.path])
    await calls.printed(begunBefore, 'before')
    await redis.halt()
    const begunDuring = await calls.start('count')
    await redis.restart()
    gate.open()
    await assertStored(begunDuring)
    const { record } = await eventually('its record is stored', async () => {
      const stored = await storedOf(redis, begunBefore)
      return stored.record && stored
    })
    assert.deepEqual([record?.status, record?.output_bytes], ['success', 'before\nafter\n'.length])
    for (const id of [begunBefore, begunDuring]) assert.ok((await storedOf(redis, id)).leftSeconds[1] > 3500)
  })
})

function breakConnections(server: RedisServer): Promise<number> {
  return server.with(async (client) => Number(await client.call('CLIENT', 'KILL', 'TYPE', 'normal')))
}

const away = { store: process.env['CI'] ? EVERY_REDIS : 'redis', config: { workers: 1, drain_seconds: 1 } } as const
describeAgent('Redis away from output that only it has', away, ({ calls, redis }) => {
  it('is told within the deadline, and other executions are not harmed', async () => {
    const gate = new Gate()
    await calls.script('much', `head -c 30000000 /dev/zero | tr '\\0' x; echo; echo done; ${awaitGate(1)}`)
    const id = await calls.start('much', [gate.path])
    await eventually('it is stored', async () => {
      return (await storedOf(redis, id)).output.length === 30_000_006
    })
    redis.pause()
    const begun = performance.now()
    await assert.rejects(calls.get(id), { code: 14 })
    assert.ok(performance.now() - begun < 5_000)
    redis.resume()
    gate.open()
    const record = await eventually('it is answered', () => calls.ended(id), 20)
    assert.deepEqual([record.status, record.output_bytes], ['success', 30_000_006])
  })
})
