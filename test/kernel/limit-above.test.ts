import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { followed } from '../support/live-calls.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { counter, hold, launchersOf, makeGroup, readGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

const ABOVE =
  'out of memory: killed by a limit on a cgroup above, such as that for all executions together, ' +
  "not by the function's own"

describe('a limit on a cgroup above', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls
  let service: string

  before(async () => {
    service = makeGroup('flux-test-above')
    agent = await startTestAgent({ through: within(service), config: { workers: 1 } })
    calls = new Calls(agent.client)
    writeFileSync(`${service}/executions/memory.max`, String(32 << 20))
    await calls.script('greedy', `${hold(100)}; echo survived`)
    await calls.script('limited', `${hold(100)}; echo survived`, { memory_mb: 128 })
  })
  after(() => agent?.stop())

  it('does not hold for the agent, which has left its cgroup for a leaf', () => {
    assert.equal(readGroup(service, 'cgroup.procs'), '')
    assert.ok(readGroup(`${service}/agent`, 'cgroup.procs').split('\n').includes(String(agent.pid)))
  })

  for (const name of ['greedy', 'limited']) {
    it(`is named where it has killed a function ${name === 'limited' ? 'with a wider one' : 'without one'}`, async () => {
      const [output, record] = await followed(agent.operations, await calls.start(name))
      const { status, error, signal, oom_killed } = record
      assert.equal(output.toString(), '')
      assert.deepEqual(
        { status, error, signal, oom_killed },
        { status: 'failed', error: ABOVE, signal: 'SIGKILL', oom_killed: true },
      )
    })
  }

  it('is told from the own limit, which is met first', async () => {
    await calls.script('narrow', hold(100), { memory_mb: 16 })
    const { error } = await calls.execute({ function_name: 'narrow' })
    assert.equal(error, 'out of memory: exceeded 16 MB')
  })

  it('is named for each of the functions it has killed before one of them was looked at', async () => {
    const [launcher] = launchersOf(agent) as [number]
    const executions = `${service}/executions`
    const killed = () => counter(executions, 'memory.events', 'oom_group_kill')
    const before = killed()
    await calls.script('gated', `echo ready; ${awaitGate(1)}; ${hold(100)}`)
    const gate = new Gate()
    const ids = [await calls.start('gated', [gate.path]), await calls.start('gated', [gate.path])]
    for (const id of ids) await calls.printed(id, 'ready')
    process.kill(launcher, 'SIGSTOP')
    try {
      gate.open()
      await eventually('both are killed', () => killed() === before + 2, 30)
    } finally {
      process.kill(launcher, 'SIGCONT')
    }
    for (const id of ids) assert.equal((await calls.ended(id)).error, ABOVE)
  })
})
