import assert from 'node:assert/strict'
import { chmodSync, chownSync } from 'node:fs'
import { dirname } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { followed } from '../support/live-calls.js'
import { createUser, noUsers } from '../support/system-user.js'
import { delegate, executionsOf, groupIn, groupsBelow, hold, makeGroup, readGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

describe('an agent that is not root, in a cgroup that is delegated to it', { skip: notInGuest ?? noUsers }, () => {
  let agent: TestAgent
  let calls: Calls
  let service: string

  before(async () => {
    const user = createUser()
    service = makeGroup('flux-test-delegated')
    delegate(service, user)
    const dir = makeTempDir('flux-agent-test-')
    chownSync(dir, user.uid, user.gid)
    chmodSync(dir, 0o755)
    const asUser = ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups']
    agent = await startTestAgent({
      dir,
      through: [...within(service), ...asUser],
      config: { isolation: 'required', max_processes: 16 },
      env: { HOME: user.home },
    })
    calls = new Calls(agent.client)
  })
  after(() => agent?.stop())

  it('moves into a leaf, beside the cgroups of its executions', () => {
    assert.ok(readGroup(`${service}/agent`, 'cgroup.procs').split('\n').includes(String(agent.pid)))
    assert.equal(readGroup(service, 'cgroup.procs'), '')
    // Against that of all executions together, which is the usual 100.
    assert.equal(readGroup(`${service}/agent`, 'cpu.weight'), '10000')
    assert.equal(dirname(executionsOf(agent)), `${service}/executions`)
  })

  it('keeps memory_mb', async () => {
    await calls.script('greedy', hold(100), { memory_mb: 16 })
    const { error } = await calls.execute({ function_name: 'greedy' })
    assert.equal(error, 'out of memory: exceeded 16 MB')
  })

  it('sets the other limits, too, and ends what has left its group', async () => {
    await calls.script('waits', 'cat /proc/self/cgroup; exec sleep 300', { cpu_millicores: 250 })
    const id = await calls.start('waits')
    const group = groupIn((await calls.printed(id, '0::')).output ?? '')
    assert.equal(readGroup(group, 'cpu.max'), '25000 100000')
    assert.equal(readGroup(group, 'pids.max'), '16')
    assert.equal(readGroup(group, 'memory.max'), 'max')
    await calls.cancel(id)
    const [, { status }] = await followed(agent.operations, id)
    assert.equal(status, 'cancelled')
  })

  it('leaves no cgroup but its leaf', async () => {
    assert.equal(await agent.stop(), 0)
    assert.deepEqual(groupsBelow(service), [`${service}/agent`])
  })
})
