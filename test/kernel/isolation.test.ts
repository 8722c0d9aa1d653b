import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { scriptZip } from '../support/apps.js'
import { notInGuest } from './guest.js'

/** The command that becomes a program for which no cgroups are mounted. */
const WITHOUT_CGROUPS = ['unshare', '--mount', '/bin/sh', '-c', 'umount /sys/fs/cgroup && exec "$@"', 'sh'] as const
const REASON = 'no cgroup2 file system is mounted'

describe('where no limit can be kept', { skip: notInGuest }, () => {
  async function start(isolation: string): Promise<[Calls, TestAgent]> {
    const agent = await startTestAgent({ through: [...WITHOUT_CGROUPS], config: { isolation } })
    return [new Calls(agent.client), agent]
  }

  it('an agent with isolation: required refuses functions that have one, and says why', async (t) => {
    const [calls, agent] = await start('required')
    t.after(() => agent.stop())
    const refused = (key: string, value: number) => ({
      success: false,
      message:
        `function limited not registered: ${key} ${value} cannot be enforced on this node (${REASON}), ` +
        `and its configuration says isolation: required; allowed: ${key} 0, or isolation: best_effort`,
    })
    const limited = { name: 'limited', handler: 'main.sh' }
    assert.deepEqual(await calls.register({ ...limited, memory_mb: 64 }), refused('memory_mb', 64))
    assert.deepEqual(await calls.register({ ...limited, cpu_millicores: 200 }), refused('cpu_millicores', 200))
    const ack = await calls.deploy('limited', scriptZip('echo ran'), { ...limited, memory_mb: 64 })
    assert.equal(ack.success, false)
    assert.match(ack.message, /memory_mb 64 cannot be enforced on this node \(no cgroup2 file system is mounted\)/)
    assert.equal((await calls.execute({ function_name: 'limited' })).error, 'function not found')

    await calls.script('unlimited', 'echo ran')
    assert.equal((await calls.execute({ function_name: 'unlimited' })).output.toString(), 'ran\n')
  })

  it('an agent with isolation: best_effort says so at its start, and runs them all the same', async (t) => {
    const [calls, agent] = await start('best_effort')
    t.after(() => agent.stop())
    const warnings = agent
      .logs()
      .split('\n')
      .filter((line) => line.includes('not enforced on this node'))
      .map((line) => JSON.parse(line) as { msg: string; level: number })
    assert.deepEqual(
      warnings.map(({ level, msg }) => [level, msg]),
      [[40, `not enforced on this node: memory_mb, cpu_millicores, max_processes (${REASON})`]],
    )
    await calls.script('limited', 'echo ran', { memory_mb: 1, cpu_millicores: 1 })
    const { error, output } = await calls.execute({ function_name: 'limited' })
    assert.deepEqual([error, output.toString()], ['', 'ran\n'])
  })
})
