import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { before, beforeEach, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AnsweredRecord } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { running } from '../store/records.js'
import { describeAgent } from '../support/describe-agent.js'
import { follow } from '../support/follow.js'
import { callSync } from '../support/live-calls.js'
import { awaitGate, Gate } from '../support/scripts.js'

for (const kind of ['embedded', 'redis'] as const) {
  const options = { store: kind, config: { max_queued: 1 } }
  describeAgent(`a refused async execution, ${kind}`, options, ({ agent, calls, redis }) => {
    let id: string

    before(async () => {
      await calls.script('single', awaitGate(1), { max_concurrency: 1 })
      await calls.script('waiting', awaitGate(1), { max_concurrency: 1, max_concurrency_behavior: 'wait' })
      await calls.register({ name: 'undeployed', handler: 'main.sh' })
    })
    beforeEach(() => {
      id = randomUUID()
    })

    const execute = (functionName: string, args: string[] = [], async = true) =>
      calls.execute({ function_name: functionName, execution_id: id, args, async })
    const refused = (error: string, of = id): Promise<AnsweredRecord> =>
      eventually(`the refusal of ${of}`, async () => {
        const record = await calls.record(of)
        return record.error === error ? record : undefined
      })

    it('has a record that says why, and no process to cancel or list', async () => {
      const gate = new Gate()
      const holder = await calls.start('single', [gate.path])
      const reasons: Record<string, [functionName: string, args: string[]]> = {
        'function not found': ['unknown'.repeat(100), []],
        'function undeployed is not deployed on this agent': ['undeployed', []],
        'function single at capacity': ['single', []],
        'args[1] holds a NUL byte, which no process argument can': ['single', ['a', 'b\0']],
      }
      for (const [error, [functionName, args]] of Object.entries(reasons)) {
        id = randomUUID()
        assert.equal((await execute(functionName, args)).error, error)
        const { started_at, status_at, ...record } = await refused(error)
        assert.deepEqual(record, {
          execution_id: id,
          agent_id: 'test-agent',
          function_name: functionName.slice(0, 128),
          status: 'failed',
          error,
          refused: true,
        })
        assert.ok(Math.abs(Date.now() - Date.parse(started_at)) < 60_000)
        assert.equal(status_at, started_at)
        const cancelled = await calls.cancel(id)
        assert.deepEqual(cancelled, { success: false, message: 'execution not found or already completed' })
        const { output, record: last } = await follow(agent.operations, id).whole
        assert.deepEqual([output.length, last?.error], [0, error])
      }
      gate.open()
      await calls.ended(holder)
    })

    it('says that the queue is full', async () => {
      const gate = new Gate()
      const held = [await calls.start('waiting', [gate.path]), await calls.start('waiting', [gate.path])]
      assert.equal((await execute('waiting', [gate.path])).error, 'function waiting at capacity')
      await refused('function waiting at capacity')
      gate.open()
      for (const each of held) assert.equal((await calls.ended(each)).status, 'success')
    })

    it('may be sent again with its id until it starts, whose record then counts', async () => {
      const gate = new Gate()
      const holder = await calls.start('single', [gate.path])
      for (let i = 0; i < 3; i++) {
        assert.equal((await execute('single', [gate.path])).error, 'function single at capacity')
        await refused('function single at capacity')
      }
      gate.open()
      await calls.ended(holder)
      assert.equal((await execute('single', [gate.path])).error, '')
      const record = await calls.ended(id)
      assert.deepEqual([record.status, record.error, record.refused], ['success', undefined, undefined])
      // No refusal on its way comes after it.
      await sleep(300)
      assert.deepEqual(await calls.record(id), record)
    })

    it('changes nothing about one that has its id: runs, has run, runs synchronously, or of another agent', async () => {
      const gate = new Gate()
      const bad = ['a\0']
      await execute('single', [gate.path])
      for (const args of [[], bad]) assert.notEqual((await execute('single', args)).error, '')
      await sleep(300)
      assert.equal((await calls.record(id)).status, 'running')
      gate.open()
      const record = await calls.ended(id)
      for (const args of [[], bad]) assert.notEqual((await execute('single', args)).error, '')
      await sleep(300)
      assert.deepEqual(await calls.record(id), record)

      id = randomUUID()
      const held = new Gate()
      const call = callSync(agent.client, { function_name: 'single', execution_id: id, args: [held.path] })
      await eventually('it runs', async () => (await calls.get(id)).found)
      for (const args of [[], bad]) assert.notEqual((await execute('single', args)).error, '')
      held.open()
      await call.outcome
      await sleep(300)
      assert.equal((await calls.get(id)).found, false)

      if (kind !== 'redis') return
      id = randomUUID()
      const other = running(id, 'another-agent')
      await redis.with((client) => client.set(`flux:exec:${id}`, JSON.stringify(other)))
      assert.equal((await execute('unknown')).error, 'function not found')
      await sleep(300)
      assert.deepEqual(await calls.record(id), other)
    })

    it('has no record where it was sync, or its id can have none', async () => {
      assert.equal((await execute('unknown', [], false)).error, 'function not found')
      await sleep(300)
      assert.equal((await calls.get(id)).found, false)
      id = 'a b'
      assert.match((await execute('unknown')).error, /^execution_id "a b" is not allowed/)
    })

    it('holds nothing up where there are thousands, and each of the last ones is told', async () => {
      const ids = Array.from({ length: 3_000 }, () => randomUUID())
      for (let at = 0; at < ids.length; at += 100) {
        await Promise.all(
          ids
            .slice(at, at + 100)
            .map((each) => calls.execute({ function_name: 'unknown', execution_id: each, async: true })),
        )
      }
      const gate = new Gate()
      gate.open()
      assert.equal((await execute('single', [gate.path])).error, '')
      assert.equal((await calls.ended(id)).status, 'success')
      for (const each of ids.slice(-100)) await refused('function not found', each)
    })

    if (kind === 'redis') {
      it('is recorded once the store is back', async () => {
        redis.pause()
        assert.equal((await execute('unknown')).error, 'function not found')
        redis.resume()
        await refused('function not found')
        const late = randomUUID()
        await redis.halt(true)
        await calls.execute({ function_name: 'unknown', execution_id: late, async: true })
        await redis.restart()
        await refused('function not found', late)
      })
    }
  })
}
