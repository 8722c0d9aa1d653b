import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { type ServiceError, status } from '@grpc/grpc-js'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { follow } from '../support/follow.js'
import { callSync } from '../support/live-calls.js'
import { awaitGate, Gate } from '../support/scripts.js'

/** Longer than any case waits. */
const LONG_DRAIN = 600
/** The agent that has told what came of the one before, with LONG_DRAIN: the next case may stop it. */
let idle: TestAgent | undefined

/** Answers the record that the next agent in the same folder finds. */
async function recordAfter({ dir }: TestAgent, id: string) {
  const next = await startTestAgent({ dir, config: { drain_seconds: LONG_DRAIN } })
  idle = next
  return new Calls(next.client).record(id)
}

async function agentWith(drainSeconds: number): Promise<TestAgent> {
  const found = idle
  idle = undefined
  if (found && drainSeconds === LONG_DRAIN) return found
  await found?.stop()
  return startTestAgent({ config: { drain_seconds: drainSeconds } })
}

async function startWith(drainSeconds: number): Promise<[TestAgent, Calls]> {
  const agent = await agentWith(drainSeconds)
  const calls = new Calls(agent.client)
  await calls.script('wait', 'echo $$; echo ready; sleep 600')
  await calls.script('gate', `echo ready; ${awaitGate(1)}; echo done`)
  await calls.script('one', 'echo $$; echo ready; sleep 600', { max_concurrency: 1, max_concurrency_behavior: 'wait' })
  return [agent, calls]
}

const stopping = (agent: TestAgent) => eventually('it is stopping', () => agent.logs().includes('"msg":"stopping"'))

describe('a stop', () => {
  after(() => idle?.stop())

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`lets running executions end and takes no new ones (${signal})`, async () => {
      const [agent, calls] = await startWith(LONG_DRAIN)
      const gate = new Gate()
      const id = await calls.start('gate', [gate.path])
      const sync = callSync(agent.client, { function_name: 'gate', args: [gate.path] })
      for (const running of [id, sync.id]) await calls.printed(running, 'ready')
      process.kill(agent.pid, signal)
      await stopping(agent)
      const refused = await calls.execute({ function_name: 'gate' }).catch((error: ServiceError) => error)
      assert.equal((refused as ServiceError).code, status.UNAVAILABLE)
      assert.equal((await calls.health()).healthy, false)
      assert.equal((await calls.record(id)).status, 'running')
      gate.open()
      const response = await sync.outcome
      assert.ok('output' in response && response.output.toString() === 'ready\ndone\n')
      await eventually('it has ended', () => !isRunning(agent.pid))
      assert.deepEqual(await agent.stop(), 0)
      const record = await recordAfter(agent, id)
      assert.deepEqual([record.status, record.output], ['success', 'ready\ndone\n'])
    })
  }

  it('kills what still runs after the time to drain, and what waits at once', async () => {
    const [agent, calls] = await startWith(1)
    const id = await calls.start('wait')
    const [pid = 0] = ((await calls.printed(id, 'ready')).output ?? '').split('\n').map(Number)
    const sync = callSync(agent.client, { function_name: 'one' })
    await calls.printed(sync.id, 'ready')
    const queued = callSync(agent.client, { function_name: 'one' })
    await eventually('it waits', async () => (await calls.get(queued.id)).found)
    const begun = performance.now()
    process.kill(agent.pid, 'SIGTERM')
    const [first, second] = await Promise.all([queued.outcome, sync.outcome])
    assert.ok('output' in first && 'output' in second)
    assert.deepEqual([first.error, second.error], ['agent stopped', 'agent stopped'])
    assert.equal(await agent.stop(), 0)
    assert.ok(performance.now() - begun >= 1000)
    assert.equal(isRunning(pid), false)
    const record = await recordAfter(agent, id)
    assert.deepEqual([record.status, record.error], ['failed', 'agent stopped'])
  })

  it('waits no longer at a second signal', async () => {
    const [agent, calls] = await startWith(LONG_DRAIN)
    const id = await calls.start('wait')
    const [pid = 0] = ((await calls.printed(id, 'ready')).output ?? '').split('\n').map(Number)
    process.kill(agent.pid, 'SIGTERM')
    await stopping(agent)
    assert.equal((await calls.record(id)).status, 'running')
    assert.equal(await agent.stop(), 0)
    assert.equal(isRunning(pid), false)
    assert.equal((await recordAfter(agent, id)).error, 'agent stopped')
  })

  it('still answers and cancels while it drains', async () => {
    const [agent, calls] = await startWith(LONG_DRAIN)
    const id = await calls.start('wait')
    await calls.printed(id, 'ready')
    process.kill(agent.pid, 'SIGTERM')
    await stopping(agent)
    assert.equal((await calls.record(id)).status, 'running')
    assert.deepEqual(await calls.cancel(id), { success: true, message: 'execution cancelled' })
    await eventually('it has ended', () => !isRunning(agent.pid))
    assert.equal(await agent.stop(), 0)
    assert.equal((await recordAfter(agent, id)).status, 'cancelled')
  })

  it('does not wait for a follower that has stopped reading', async () => {
    const [agent, calls] = await startWith(LONG_DRAIN)
    await calls.script('much', 'head -c 20000000 /dev/zero')
    const id = await calls.start('much')
    const { stream, whole } = follow(agent.operations, id)
    stream.pause()
    await eventually('it has ended', async () => (await calls.status()).active_tasks === 0)
    const begun = performance.now()
    assert.equal(await agent.stop(), 0)
    assert.ok(performance.now() - begun < 20_000)
    await assert.rejects(whole)
  })
})
