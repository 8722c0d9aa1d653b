import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { processesWith } from '../../harness/proc.js'
import { executionsOf, groupsBelow, launchersOf, pidsBelow } from './groups.js'
import { notInGuest } from './guest.js'

const RUNS = process.env['CI'] ? 1_000 : 120
const AT_ONCE = 12

describe(`${RUNS} executions`, { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent()
    calls = new Calls(agent.client)
    const config = { memory_mb: 64, cpu_millicores: 2000, env: { RUN: agent.dir } }
    await calls.script('plain', ':', config)
    // Its cgroup is killed, and cannot be used again.
    await calls.script('leaves', 'setsid sleep 300 & :', config)
    await calls.script('unlimited', ':', { env: { RUN: agent.dir } })
  })
  after(() => agent?.stop())

  it('leave neither processes nor cgroups, and never need more of them than run at once', async (t) => {
    const executions = executionsOf(agent)
    const launchers = launchersOf(agent)
    const names = ['plain', 'plain', 'leaves', 'plain', 'unlimited', 'plain', 'plain', 'unlimited'] as const
    const began = performance.now()
    let next = 0
    let most = 0
    await Promise.all(
      Array.from({ length: AT_ONCE }, async () => {
        while (next < RUNS) {
          const name = names[next++ % names.length] as string
          const { error } = await calls.execute({ function_name: name })
          assert.equal(error, '', name)
          if (next % 50 === 0) most = Math.max(most, groupsBelow(executions).length)
        }
      }),
    )
    t.diagnostic(`${Math.round(performance.now() - began)} ms, at most ${most} cgroups`)
    const bound = AT_ONCE + launchers.length
    assert.ok(most > 1 && most <= bound, `${most} cgroups, and not at most ${bound}`)
    assert.ok(groupsBelow(executions).length <= bound)
    assert.deepEqual(pidsBelow(executions), [])
    assert.deepEqual(processesWith('RUN', agent.dir), [])

    assert.equal(await agent.stop(), 0)
    assert.equal(existsSync(executions), false)
    assert.deepEqual(
      launchers.filter((pid) => existsSync(`/proc/${pid}`)),
      [],
    )
  })
})
