import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { statOf } from '../os/linux/processes.js'
import { callSync, followed } from '../support/live-calls.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { commandOf, executionsOf, pidsBelow } from './groups.js'
import { notInGuest } from './guest.js'

const ESCAPES = [
  'setsid sleep 300 &',
  // An orphan: nobody who knows of it is its parent.
  "(setsid sh -c 'sleep 300 & exit' &)",
  // A group of its own, in the session of the leader.
  "perl -e 'setpgrp; exec qw(sleep 300)' &",
  // Deaf to everything but SIGKILL.
  'setsid sh -c \'trap "" TERM HUP INT QUIT; exec sleep 300\' &',
]

describe('processes that leave the group of their execution', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent()
    calls = new Calls(agent.client)
    await calls.script('stays', [...ESCAPES, 'wait'].join('\n'))
    await calls.script('exits', [...ESCAPES, awaitGate(1), 'exit 3'].join('\n'))
  })
  after(() => agent?.stop())

  /** The pids of all processes of the only execution, once all have left that should. */
  async function family(): Promise<number[]> {
    const executions = executionsOf(agent)
    return eventually('the escapes', () => {
      const pids = pidsBelow(executions)
      const leaders = pids.filter((pid) => /main\.sh/.test(commandOf(pid)))
      const escaped = pids.filter((pid) => commandOf(pid) === 'sleep 300')
      const groups = new Set([...leaders, ...escaped].map((pid) => statOf(pid)[2]))
      const apart = leaders.length === 1 && escaped.length === ESCAPES.length && groups.size === 1 + ESCAPES.length
      return apart ? [...leaders, ...escaped] : undefined
    })
  }

  it('are gone when the answer to a cancel comes', async () => {
    const id = await calls.start('stays')
    const pids = await family()
    assert.equal((await calls.cancel(id)).success, true)
    assert.deepEqual(pids.filter(isRunning), [])
  })

  it('are gone when a sync answer comes after their leader has exited', async () => {
    const gate = new Gate()
    const call = callSync(agent.client, { function_name: 'exits', args: [gate.path] })
    const pids = await family()
    gate.open()
    const outcome = await call.outcome
    assert.equal('error' in outcome && outcome.error, 'exit code 3')
    assert.deepEqual(pids.filter(isRunning), [])
  })

  it('are gone when the end of an async one is told after their leader has exited', async () => {
    const gate = new Gate()
    const id = await calls.start('exits', [gate.path])
    const pids = await family()
    gate.open()
    const [, { error }] = await followed(agent.operations, id)
    assert.equal(error, 'exit code 3')
    assert.deepEqual(pids.filter(isRunning), [])
  })

  it('leave nothing in any cgroup of the agent', () => {
    assert.deepEqual(pidsBelow(executionsOf(agent)), [])
  })
})
