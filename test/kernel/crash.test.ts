import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { describe, it } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { commandOf, executionsOf, groupsBelow, launchersOf, makeGroup, pidsBelow, within } from './groups.js'
import { notInGuest } from './guest.js'

describe('an agent that has died together with its launchers', { skip: notInGuest }, () => {
  const places = [
    { name: 'beside other agents', find: () => undefined },
    {
      name: 'in a cgroup of its own',
      find: () => {
        const service = makeGroup('flux-test-crash')
        // It has left the folder that it was started in for a leaf, and nothing can be started there any more.
        return { first: within(service), second: within(`${service}/agent`) }
      },
    },
  ]
  for (const { name, find } of places) {
    it(`is cleaned up after by the next one, ${name}`, async (t) => {
      const place = find()
      const crashed = await startTestAgent({ ...(place && { through: place.first }) })
      const calls = new Calls(crashed.client)
      await calls.script('family', "setsid sleep 300 &\n(setsid sh -c 'sleep 300 & exit' &)\nexec sleep 301", {
        memory_mb: 64,
      })
      const ids = [await calls.start('family'), await calls.start('family')]
      const executions = executionsOf(crashed)
      const left = await eventually('what leaves the groups', () => {
        const pids = pidsBelow(executions).filter((pid) => commandOf(pid) === 'sleep 300')
        return pids.length === 4 ? pids : undefined
      })
      const groups = groupsBelow(executions)
      const launchers = launchersOf(crashed)
      // None of them may do anything about the death of the others.
      for (const pid of launchers) process.kill(pid, 'SIGSTOP')
      await crashed.kill()
      for (const pid of launchers) process.kill(pid, 'SIGKILL')
      await eventually('the launchers are dead', () => !launchers.some(isRunning))
      assert.deepEqual(left.filter(isRunning), left)

      const next = await startTestAgent({ ...(place && { through: place.second }), dir: crashed.dir })
      t.after(() => next.stop())
      assert.equal(executionsOf(next), executions)
      assert.deepEqual(left.filter(isRunning), [])
      assert.deepEqual(groups.filter(existsSync), [])
      const again = new Calls(next.client)
      for (const id of ids) assert.equal((await again.record(id)).error, 'agent restarted')
      const id = await again.start('family')
      assert.equal((await again.cancel(id)).success, true)
    })
  }
})
