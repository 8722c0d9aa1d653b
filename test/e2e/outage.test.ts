import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, it } from 'node:test'
import type { TestAgent } from '../../harness/agent.js'
import type { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import type { RedisServer } from '../../harness/redis.js'
import { sentinelAddress, startSentinel } from '../../harness/sentinels.js'
import { describeAgent } from '../support/describe-agent.js'
import { follow, printedBytes } from '../support/follow.js'
import { awaitGate, deployWithFiles, Gate } from '../support/scripts.js'

/**
 * Larger than what a worker keeps in memory, so that the writes of each part go to disk; in CI all of them are more than
 * one file.
 */
const PART = randomBytes((process.env['CI'] ? 6 : 2) * 1024 * 1024)
const OUTPUT = Buffer.concat([PART, PART])
/** As a record has it. */
const TEXT = OUTPUT.toString()

interface Outage {
  begin(redis: RedisServer): Promise<void> | void
  end(redis: RedisServer): Promise<void> | void
}

const OUTAGES: Readonly<Record<string, Outage>> = {
  'stopped, and back with its data': { begin: (redis) => redis.halt(true), end: (redis) => redis.restart() },
  paused: { begin: (redis) => redis.pause(), end: (redis) => redis.resume() },
  full: {
    begin: (redis) => redis.with(async (client) => void (await client.config('SET', 'maxmemory', '1'))),
    end: (redis) => redis.with(async (client) => void (await client.config('SET', 'maxmemory', '0'))),
  },
}

/** In CI once more behind a Sentinel, which has no replica to fail over to. */
const WAYS = process.env['CI'] ? ['', ' behind a Sentinel'] : ['']
const ALL = WAYS.flatMap((way) => Object.entries(OUTAGES).map(([name, outage]) => ({ way, name, outage })))

for (const { way, name, outage } of ALL) {
  let sentinel: RedisServer | undefined
  let address = ''
  const options = {
    store: 'redis',
    beforeStart: async (redis: RedisServer) => {
      if (way) sentinel = await startSentinel(redis)
      address = sentinel ? sentinelAddress([sentinel]) : redis.address
    },
    config: {
      workers: 2,
      drain_seconds: 1,
      get redis_addr() {
        return address
      },
    },
  } as const
  describeAgent(`Redis${way} ${name}`, options, ({ agent, calls, redis }) => {
    after(() => sentinel?.stop())
    before(async () => {
      await deployWithFiles(calls, 'parts', `cat part; ${awaitGate(1)}; cat part; ${awaitGate(2)}; exit $3`, {
        part: PART,
      })
      await calls.script('quick', 'echo done')
    })

    const begin = async (first: Gate, second: Gate, exit = '0') => calls.start('parts', [first.path, second.path, exit])
    const gates = () => [new Gate(), new Gate()] as const
    const printed = (id: string, bytes: number) => printedBytes(agent.operations, id, bytes)

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
      assert.ok(slowest < 3 * usual + 30, `a sync execution takes ${slowest} ms instead of ${usual} ms`)
      for (const id of [startedBefore, insideIt]) {
        const record = await calls.ended(id)
        assert.deepEqual([record.status, record.output_bytes], ['success', OUTPUT.length])
        assert.equal(record.output, TEXT)
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
        await eventually(`the record of ${id} is stored`, async () => (await storedStatus(redis, id)) === status, 60)
        const stored = await redis.with((client) => client.getBuffer(`flux:exec-output:${id}`))
        assert.ok(stored?.equals(output), `${status}: ${stored?.length} bytes`)
        const [recordTtl, outputTtl] = await redis.with((client) =>
          Promise.all([client.ttl(`flux:exec:${id}`), client.ttl(`flux:exec-output:${id}`)]),
        )
        assert.ok(recordTtl > 3500 && outputTtl > 3500, `TTL ${recordTtl} s and ${outputTtl} s`)
      }
      await eventually('no write waits on disk', () => segmentsOf(agent).length === 0)
      assert.equal((await calls.record(spansIt)).output, TEXT)
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
      await eventually('it registers again', async () => (await calls.register({ name: 'late', handler: 'a' })).success)
      await eventually('it answers again', async () => (await calls.get(randomUUID())).found === false)
    })
  })
}

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

async function storedStatus(redis: RedisServer, id: string): Promise<string | undefined> {
  const text = await redis.with((client) => client.get(`flux:exec:${id}`))
  return text === null ? undefined : JSON.parse(text).status
}

/** Files of writes that wait for the store. */
function segmentsOf({ dir }: TestAgent): string[] {
  return readdirSync(join(dir, 'state', 'writes'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.writes'))
}
