import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { childrenOf } from '../../harness/proc.js'
import { noServiceManager, ServiceManagerSocket } from '../support/service-manager.js'
import { createUser, noUsers } from '../support/system-user.js'
import { executionsOf, makeGroup, readGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

const PROTECTED = ['/bin/sh', '-c', 'echo -900 >/proc/$$/oom_score_adj && exec "$@"', 'sh'] as const

describe('an agent in a unit like ours', { skip: notInGuest || noUsers || noServiceManager }, () => {
  let agent: TestAgent
  let calls: Calls
  let service: string
  let manager: ServiceManagerSocket

  before(async () => {
    const user = createUser()
    manager = await ServiceManagerSocket.open()
    service = makeGroup('flux-test-service')
    agent = await startTestAgent({
      through: [...within(service), ...PROTECTED],
      config: { isolation: 'required', run_as: user.name },
      env: { NOTIFY_SOCKET: manager.address, WATCHDOG_USEC: '30000000' },
    })
    calls = new Calls(agent.client)
  })
  after(async () => {
    await agent?.stop()
    manager?.close()
  })

  it('tells its manager in its own name', async () => {
    assert.equal((await manager.told(/^READY=1$/)).pid, agent.pid)
  })

  it('has the notifier beside it in its leaf, so that executions can be limited', () => {
    const notifier = childrenOf(agent.pid).find(({ command }) => command === 'notifier')
    assert.ok(readGroup(`${service}/agent`, 'cgroup.procs').split('\n').includes(String(notifier?.pid)))
    assert.ok(executionsOf(agent).startsWith(`${service}/executions/`))
  })

  it('is killed after its functions when memory runs out, with all that serves it', async () => {
    await calls.script(
      'score',
      'cat /proc/$$/oom_score_adj; (echo 100 >/proc/$$/oom_score_adj) 2>&-; cat /proc/$$/oom_score_adj',
    )
    const { output } = await calls.execute({ function_name: 'score' })
    assert.equal(output.toString(), '500\n500\n')
    const own = [agent.pid, ...childrenOf(agent.pid).map(({ pid }) => pid)]
    assert.ok(own.length > 2)
    for (const pid of own) assert.equal(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'), '-900\n')
  })
})
