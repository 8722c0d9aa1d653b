import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { answer } from '../../src/cli/connection.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { describeAgent } from '../support/describe-agent.js'
import { limitDescriptors, noPrlimit } from '../support/descriptor-limit.js'
import { callSync } from '../support/live-calls.js'

describeAgent('ListExecutions', ({ agent, calls }) => {
  before(async () => {
    const alone = { max_concurrency: 1, max_concurrency_behavior: 'wait' }
    await calls.script('busy', 'echo $$; echo ready; while :; do :; done', alone)
  })

  const list = () =>
    answer<ListExecutionsResponse__Output>((options, done) => agent.operations.listExecutions({}, options, done))

  it('shows what runs and what waits, with what each and the agent use', async () => {
    assert.deepEqual((await list()).executions, [])
    const running = await calls.start('busy')
    const [pid] = ((await calls.printed(running, 'ready')).output ?? '').split('\n').map(Number)
    const queued = callSync(agent.client, { function_name: 'busy' })
    await eventually('it waits', async () => (await calls.get(queued.id)).found)

    const found = await eventually('a second sample', async () => {
      const { executions, agent: own } = await list()
      return (executions[0]?.usage?.cpu_percent ?? 0) > 20 ? { executions, own } : undefined
    })
    const [first, second] = found.executions
    assert.deepEqual(
      [first?.execution_id, first?.state, first?.async, first?.usage?.pid],
      [running, 'running', true, pid],
    )
    assert.ok((first?.usage?.memory_bytes ?? 0) > 100_000)
    assert.deepEqual(
      [second?.execution_id, second?.state, second?.async, second?.usage],
      [queued.id, 'queued', false, null],
    )
    assert.equal(found.own?.pid, agent.pid)
    assert.ok((found.own?.memory_bytes ?? 0) > 20_000_000)

    await calls.cancel(queued.id)
    await calls.cancel(running)
    await queued.outcome
    assert.deepEqual((await list()).executions, [])
  })

  it('is answered without figures while the agent has no descriptor to read them with, and with them later', {
    skip: noPrlimit,
  }, async () => {
    const ownMemory = async () => (await list()).agent?.memory_bytes
    await list()
    const open = readdirSync(`/proc/${agent.pid}/fd`).length
    limitDescriptors(agent.pid, open - 1)
    await eventually('it has no figures', async () => (await ownMemory()) === 0)
    limitDescriptors(agent.pid, open + 100)
    await eventually('it has figures', async () => ((await ownMemory()) ?? 0) > 0)
  })

  it('takes one sample for all who ask within a second', async () => {
    const id = await calls.start('busy')
    await calls.printed(id, 'ready')
    await eventually('a fresh sample', async () => ((await list()).executions[0]?.usage?.memory_bytes ?? 0) > 0)
    const answers = await Promise.all(Array.from({ length: 50 }, list))
    const samples = new Set(answers.map(({ agent: own }) => `${own?.cpu_percent} ${own?.memory_bytes}`))
    // Two where a second begins in between.
    assert.ok(samples.size <= 2, `${samples.size} samples`)
    await calls.cancel(id)
  })
})
