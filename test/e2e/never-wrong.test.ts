import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { it } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { type AnsweredRecord, Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { follow, printedBytes } from '../support/follow.js'
import { awaitGate, deployWithFiles, Gate } from '../support/scripts.js'
import { storedOf } from '../support/stored.js'
import { onEachRedis, onEachStore } from '../support/stores.js'

const MiB = 1024 * 1024
/** Text, so that a record's output compares byte for byte. */
const PART = Buffer.from(randomBytes(MiB / 2).toString('hex'))
const ROUNDS = process.env['CI'] ? 6 : 1

onEachRedis('an agent that is killed while Redis is away', {}, (redis) => {
  it('has a record of all that it accepted, and their output without a byte that is not theirs', async () => {
    const config = { redis_addr: redis.address, workers: 2, survive_seconds: 0 }
    const first = await startTestAgent({ config })
    const before = new Calls(first.client)
    await deployWithFiles(before, 'part', `cat part; ${awaitGate(1)}; cat part; ${awaitGate(2)}`, { part: PART })
    const [open, closed] = [new Gate(), new Gate()]
    const spanning = await Promise.all(Array.from({ length: 4 }, () => before.start('part', [open.path, closed.path])))
    for (const id of spanning) await printedBytes(first.operations, id, PART.length)
    await redis.halt(true)
    open.open()
    const during = await Promise.all(Array.from({ length: 8 }, () => before.start('part', [open.path, open.path])))
    const running = await Promise.all(Array.from({ length: 4 }, () => before.start('part', [open.path, closed.path])))
    for (const id of during) assert.equal((await before.ended(id)).status, 'success')
    for (const id of [...spanning, ...running]) await printedBytes(first.operations, id, 2 * PART.length)
    await first.kill()
    await redis.restart()

    const agent = await startTestAgent({ config, dir: first.dir })
    const calls = new Calls(agent.client)
    const whole = Buffer.concat([PART, PART]).toString()
    for (const id of during) {
      const record = await calls.record(id)
      assert.deepEqual(
        [record.status, record.output_bytes, record.output_lost_bytes],
        ['success', whole.length, undefined],
      )
      assert.ok(record.output === whole, 'not what the function wrote')
    }
    for (const id of [...spanning, ...running]) {
      const { status, error, output = '' } = await calls.record(id)
      assert.deepEqual([status, error], ['failed', 'agent restarted'])
      assert.ok(whole.startsWith(output) && output.length >= PART.length, `${output.length} bytes that are not its own`)
    }
    await agent.stop()
  })
})

onEachStore('an outcome that was shown', (address) => {
  it('stands, however soon after it the agent is killed', async () => {
    const config = { redis_addr: address() }
    let agent = await startTestAgent({ config })
    await new Calls(agent.client).script('quick', 'echo done')
    for (let round = 0; round < ROUNDS; round++) {
      const calls = new Calls(agent.client)
      const ids = await Promise.all(Array.from({ length: 20 }, () => calls.start('quick')))
      const shown = new Map<string, AnsweredRecord>()
      const followed = follow(agent.operations, ids[0] as string).whole
      await Promise.all(ids.map(async (id) => shown.set(id, await endedAtOnce(calls, id))))
      await agent.kill()
      const { record } = await followed.catch(() => ({ record: undefined }))
      agent = await startTestAgent({ config, dir: agent.dir })
      const after = new Calls(agent.client)
      for (const [id, before] of shown) assert.deepEqual(await after.record(id), before)
      if (record) assert.equal(record.status, 'success')
    }
    await agent.stop()
  })
})

onEachRedis('an outcome that was shown while Redis is away', {}, (redis) => {
  it('stands, though the agent is killed at once', async () => {
    const config = { redis_addr: redis.address }
    const first = await startTestAgent({ config })
    const before = new Calls(first.client)
    await before.script('gated', `${awaitGate(1)}; echo done; exit 3`)
    const gate = new Gate()
    const id = await before.start('gated', [gate.path])
    await redis.halt(true)
    gate.open()
    const shown = await endedAtOnce(before, id)
    await first.kill()
    await redis.restart()
    const agent = await startTestAgent({ config, dir: first.dir })
    assert.deepEqual(await new Calls(agent.client).record(id), shown)
    assert.deepEqual([shown.status, shown.exit_code], ['failed', 3])
    await agent.stop()
  })
})

onEachRedis('a Redis that forgets what it was given', {}, (redis) => {
  it('leaves a mark and a number in its place, and nothing that the function did not write', async () => {
    const config = { redis_addr: redis.address, workers: 1 }
    const agent = await startTestAgent({ config })
    const calls = new Calls(agent.client)
    await deployWithFiles(calls, 'part', `cat part; ${awaitGate(1)}; cat part`, { part: PART })
    const ids: string[] = []
    const gate = new Gate()
    // More than what the agent itself still holds of what is stored.
    for (let i = 0; i < 20; i++) ids.push(await calls.start('part', [gate.path]))
    for (const id of ids) {
      await eventually('its first part is stored', async () => (await storedOf(redis, id)).output.length)
      await printedBytes(agent.operations, id, PART.length)
    }
    await redis.halt()
    await redis.restart()
    gate.open()
    for (const id of ids) await calls.ended(id)
    for (const id of ids) {
      await eventually('all is stored', async () => (await storedOf(redis, id)).record?.status === 'success')
    }
    const following = await Promise.all(ids.map((id) => follow(agent.operations, id, PART.length).whole))
    for (const { output } of following) assert.ok(output.equals(PART), 'what follows the gap')
    await checkMarked(calls, ids)
    await agent.stop()
    const again = await startTestAgent({ config, dir: agent.dir })
    await checkMarked(new Calls(again.client), ids)
    await again.stop()
  })
})

/** Of each the first part is lost, and the rest is there. */
async function checkMarked(calls: Calls, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const record = await calls.record(id)
    const lost = record.output_lost_bytes ?? 0
    assert.deepEqual([record.status, record.output_bytes, lost > 0], ['success', 2 * PART.length, true])
    const whole = Buffer.concat([PART, PART]).toString()
    assert.equal(record.output, `\n[flux-agent: ${lost} bytes of output lost]\n${whole.slice(lost)}`)
  }
}

/** The record of the first answer that shows an end, asked for without a pause. */
async function endedAtOnce(calls: Calls, id: string): Promise<AnsweredRecord> {
  for (;;) {
    const record = await calls.record(id)
    if (record.status !== 'running') return record
  }
}
