import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../support/agent.js'
import { Calls } from '../support/calls.js'
import { eventually } from '../support/eventually.js'
import { followed } from '../support/live-calls.js'
import { noRedis, RedisServer } from '../support/redis.js'
import { Gate } from '../support/scripts.js'

const MiB = 1024 * 1024
/** What `seq 1 LAST` prints: every byte is told apart from its neighbours, so nothing can be lost or swapped unseen. */
const numbersTo = (last: number) => Array.from({ length: last }, (_, i) => `${i + 1}\n`).join('')
const LAST = 1_000_000

describe('while Redis is away', { skip: noRedis }, () => {
  let redis: RedisServer
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    redis = await RedisServer.start()
    agent = await startTestAgent({ config: { redis_addr: redis.address } })
    calls = new Calls(agent.client)
    await calls.script('say', 'echo "$1"')
    await calls.script('count', 'seq 1 "$1"')
    // Prints half, waits for the gate, prints the other half.
    await calls.script('halves', 'seq 1 500000; until [ -e "$1" ]; do sleep 0.02; done; seq 500001 1000000')
    await calls.script('wait', 'echo waiting; sleep 600')
  })
  afterEach(async () => {
    redis.resume()
    if (!redis.running) await redis.restart()
  })
  after(async () => {
    await agent.stop()
    await redis.stop()
  })

  async function assertStored(id: string, output: string): Promise<void> {
    await redis.with(async (client) => {
      const record = await eventually('the final record is in Redis', async () => {
        const stored = JSON.parse((await client.get(`flux:exec:${id}`)) ?? '{}')
        return stored.status === 'running' || !stored.status ? undefined : stored
      })
      assert.equal(record.status, 'success')
      const bytes = await client.getBuffer(`flux:exec-output:${id}`)
      assert.ok(bytes?.equals(Buffer.from(output)), `output of ${id} differs: ${bytes?.length} bytes`)
      for (const key of [`flux:exec:${id}`, `flux:exec-output:${id}`]) assert.ok((await client.pttl(key)) > 0, key)
    })
  }

  async function nothingWaits(): Promise<void> {
    const files = () => readdirSync(join(agent.dir, 'state/writes'), { recursive: true, withFileTypes: true })
    await eventually('no file of waiting writes is left', () => files().every((entry) => entry.isDirectory()))
  }

  const outages: { name: string; begin(): Promise<void> | void; end(): Promise<void> | void }[] = [
    { name: 'stopped', begin: () => redis.halt(true), end: () => redis.restart() },
    { name: 'paused', begin: () => redis.pause(), end: () => redis.resume() },
    {
      name: 'full',
      begin: () => redis.with(async (client) => void (await client.config('SET', 'maxmemory', '1'))),
      end: () => redis.with(async (client) => void (await client.config('SET', 'maxmemory', '0'))),
    },
  ]
  for (const { name, begin, end } of outages) {
    it(`stores all of it, whole and in order, once it is no longer ${name}`, async () => {
      const gate = new Gate()
      const before = await calls.start('halves', [gate.path])
      await calls.printed(before, '\n500000\n')
      await begin()
      // Several times what stays in memory.
      const during = await Promise.all([0, 1, 2].map(() => calls.start('count', [String(LAST)])))
      gate.open()
      for (const id of during) {
        const record = await calls.ended(id)
        assert.equal(record.status, 'success')
        assert.equal(record.output, numbersTo(LAST))
      }
      const after = await calls.start('say', ['late'])
      assert.equal((await calls.ended(after)).output, 'late\n')
      await end()
      for (const id of [before, ...during]) await assertStored(id, numbersTo(LAST))
      await assertStored(after, 'late\n')
      await nothingWaits()
    })
  }

  it('cancels, and records it afterwards', async () => {
    const early = await calls.start('wait')
    await calls.printed(early, 'waiting')
    await redis.halt(true)
    const late = await calls.start('wait')
    await calls.printed(late, 'waiting')
    for (const id of [early, late]) {
      assert.equal((await calls.cancel(id)).success, true)
      assert.equal((await calls.record(id)).status, 'cancelled')
      assert.equal((await calls.cancel(id)).success, false)
    }
    await redis.restart()
    await eventually('both are recorded', () =>
      redis.with(async (client) => {
        const records = await client.mget([early, late].map((id) => `flux:exec:${id}`))
        return records.every((record) => record && JSON.parse(record).status === 'cancelled')
      }),
    )
  })

  it('does not slow sync executions', async () => {
    const rounds = async () => {
      const begun = performance.now()
      for (let i = 0; i < 40; i++) {
        const response = await calls.execute({ function_name: 'say', args: ['x'], execution_id: `s${Math.random()}` })
        assert.equal(response.error, '')
      }
      return performance.now() - begun
    }
    await rounds()
    const present = await rounds()
    redis.pause()
    await calls.execute({ function_name: 'say', args: ['first'], execution_id: 'finds-it-away' })
    const paused = await rounds()
    redis.resume()
    await redis.halt(true)
    const stopped = await rounds()
    // A single wait for the store would cost more than all of them.
    assert.ok(paused < 2 * present + 500, `${paused} ms paused, ${present} ms before`)
    assert.ok(stopped < 2 * present + 500, `${stopped} ms stopped, ${present} ms before`)
  })

  it('answers calls within their deadlines', async () => {
    for (const away of [() => redis.pause(), () => redis.halt(true)]) {
      await away()
      const ack = await calls.register({ name: 'new', handler: 'main.sh' })
      assert.equal(ack.success, false)
      assert.match(ack.message, /^function new not registered: Redis at redis:\/\/127\.0\.0\.1/)
      // Neither here nor known to be nowhere: the response has no word for it, so it is a status.
      await assert.rejects(calls.get('nobody-knows'), /UNAVAILABLE/)
      assert.equal((await calls.health()).healthy, true)
      redis.resume()
    }
  })
})

describe('a backlog beyond its bound', { skip: noRedis }, () => {
  it('refuses new async executions and drops nothing that was accepted', async () => {
    const redis = await RedisServer.start()
    const agent = await startTestAgent({
      config: { redis_addr: redis.address, store_backlog_bytes: 4 * MiB, workers: 1 },
    })
    const calls = new Calls(agent.client)
    try {
      await calls.script('count', 'seq 1 "$1"')
      await redis.halt(true)
      const accepted: string[] = []
      const refusal = await eventually('one is refused', async () => {
        const id = `n${accepted.length}`
        const { error } = await calls.execute({
          function_name: 'count',
          args: ['300000'],
          execution_id: id,
          async: true,
        })
        if (error) return error
        accepted.push(id)
        await calls.ended(id)
        return undefined
      })
      assert.match(refusal, /^store unavailable/)
      assert.ok(accepted.length >= 2)
      const sync = await calls.execute({ function_name: 'count', args: ['1'] })
      assert.equal(sync.error, '')
      await redis.restart()
      await redis.with((client) =>
        eventually('all accepted are stored', async () => {
          const outputs = await Promise.all(accepted.map((id) => client.get(`flux:exec-output:${id}`)))
          return outputs.every((output) => output === numbersTo(300_000))
        }),
      )
      const id = await eventually('it accepts again', async () => {
        const { error } = await calls.execute({
          function_name: 'count',
          args: ['3'],
          execution_id: 'again',
          async: true,
        })
        return error ? undefined : 'again'
      })
      const [output] = await followed(agent.operations, id)
      assert.equal(output.toString(), '1\n2\n3\n')
    } finally {
      await agent.stop()
      await redis.stop()
    }
  })
})
