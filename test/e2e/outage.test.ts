import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import type { TestAgent } from '../../harness/agent.js'
import type { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import type { TestRedis } from '../../harness/redis.js'
import { describeAgent, type StoreKind } from '../support/describe-agent.js'
import { follow, printedBytes } from '../support/follow.js'
import { awaitGate, deployWithFiles, Gate } from '../support/scripts.js'
import { storedOf } from '../support/stored.js'

/**
 * Larger than what a worker keeps in memory, so that the writes of each part go to disk; in CI all of them are more than
 * one file. Text, as it is in a record.
 */
const PART = Buffer.from(randomBytes((process.env['CI'] ? 3 : 0.75) * 1024 * 1024).toString('hex'))
const OUTPUT = Buffer.concat([PART, PART])

interface Outage {
  readonly begin: (redis: TestRedis) => unknown
  readonly end: (redis: TestRedis) => unknown
}

const OUTAGES: Readonly<Record<string, Outage>> = {
  'stopped, and back with its data': { begin: (redis) => redis.halt(true), end: (redis) => redis.restart() },
  paused: { begin: (redis) => redis.pause(), end: (redis) => redis.resume() },
  full: { begin: (redis) => limitMemory(redis, '1'), end: (redis) => limitMemory(redis, '0') },
}

const STORES: readonly StoreKind[] = process.env['CI'] ? ['redis', 'cluster', 'sentinel'] : ['redis', 'cluster']

describeAgent('an outage', { store: STORES, config: { workers: 2, drain_seconds: 1 } }, ({ agent, calls, redis }) => {
  before(async () => {
    await deployWithFiles(calls, 'parts', `cat part; ${awaitGate(1)}; cat part; ${awaitGate(2)}; exit $3`, {
      part: PART,
    })
    await calls.script('quick', 'echo done')
  })

  const begin = async (first: Gate, second: Gate, exit = '0') => calls.start('parts', [first.path, second.path, exit])
  const gates = () => [new Gate(), new Gate()] as const
  const printed = (id: string, bytes: number) => printedBytes(agent.operations, id, bytes)

  for (const [name, outage] of Object.entries(OUTAGES)) {
    describe(`of a Redis that is ${name}`, () => {
      it('holds up no sync execution, and loses nothing of any async one', async () => {
        const opened = new Gate()
        opened.open()
        const endsDuring = gates()
        const endsAfter = gates()
        const startedBefore = await begin(...endsDuring)
        const spansIt = await begin(...endsAfter)
        await Promise.all([printed(startedBefore, PART.length), printed(spansIt, PART.length)])
        const usual = await medianSync(calls)

        await outage.begin(redis)
        for (const gate of endsDuring) gate.open()
        endsAfter[0].open()
        const startedDuring = await begin(...endsAfter, '3')
        const insideIt = await begin(opened, opened)
        const cancelled = await begin(...gates())
        await Promise.all([printed(startedDuring, OUTPUT.length), printed(cancelled, PART.length)])

        const slowest = await medianSync(calls)
        // What asks the store waits for half a second at least.
        assert.ok(slowest < 3 * usual + 200, `a sync execution takes ${slowest} ms instead of ${usual} ms`)
        for (const id of [startedBefore, insideIt]) {
          const record = await calls.ended(id)
          assert.deepEqual([record.status, record.output_bytes], ['success', OUTPUT.length])
          assert.ok(record.output === OUTPUT.toString(), 'not what the function wrote')
        }
        assert.equal((await calls.cancel(cancelled)).success, true)
        assert.equal((await calls.cancel(cancelled)).success, false)
        assert.equal((await calls.record(cancelled)).status, 'cancelled')
        assert.equal((await calls.record(startedDuring)).status, 'running')
        assert.ok((await follow(agent.operations, insideIt).whole).output.equals(OUTPUT))
        assert.ok(segmentsOf(agent).length > 0, 'nothing has gone to disk')

        await outage.end(redis)
        for (const gate of endsAfter) gate.open()
        const expected: [string, string, Buffer][] = [
          [startedBefore, 'success', OUTPUT],
          [insideIt, 'success', OUTPUT],
          [spansIt, 'success', OUTPUT],
          [startedDuring, 'failed', OUTPUT],
          [cancelled, 'cancelled', PART],
        ]
        for (const [id, status, output] of expected) {
          await eventually(
            `the record of ${id} is stored`,
            async () => (await storedOf(redis, id)).record?.status === status,
            60,
          )
          const stored = await storedOf(redis, id)
          assert.ok(stored.output.equals(output), `${status}: ${stored.output.length} bytes`)
          assert.ok(Math.min(...stored.leftSeconds) > 3500, `TTL ${stored.leftSeconds} s`)
        }
        await eventually('no write waits on disk', () => segmentsOf(agent).length === 0)
        assert.ok((await calls.record(spansIt)).output === OUTPUT.toString(), 'not what the function wrote')
      })

      it('answers within the deadline what only the store knows', async () => {
        await outage.begin(redis)
        const registered = await calls.register({ name: 'late', handler: 'main.sh' })
        assert.equal(registered.success, false)
        assert.match(registered.message, /Redis at/)
        if (name !== 'full') await assert.rejects(calls.get(randomUUID()), { code: 14 })
        assert.deepEqual(await calls.cancel(randomUUID()), {
          success: false,
          message: 'execution not found or already completed',
        })
        assert.equal((await calls.health()).healthy, true)
        await outage.end(redis)
        await eventually(
          'it registers again',
          async () => (await calls.register({ name: 'late', handler: 'a' })).success,
        )
        await eventually('it answers again', async () => (await calls.get(randomUUID())).found === false)
      })
    })
  }
})

async function medianSync(calls: Calls): Promise<number> {
  const times: number[] = []
  for (let i = 0; i < 21; i++) {
    const begun = performance.now()
    const { error } = await calls.execute({ function_name: 'quick', execution_id: randomUUID() })
    times.push(performance.now() - begun)
    assert.equal(error, '')
  }
  return times.sort((a, b) => a - b)[10] as number
}

async function limitMemory(redis: TestRedis, bytes: string): Promise<void> {
  await Promise.all(redis.servers.map((server) => server.with((client) => client.config('SET', 'maxmemory', bytes))))
}

/** Files of writes that wait for the store. */
function segmentsOf({ dir }: TestAgent): string[] {
  return readdirSync(join(dir, 'state', 'writes'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.writes'))
}
