import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { processesWith } from '../../harness/proc.js'
import { followed } from '../support/live-calls.js'
import { counter, groupIn, readGroup } from './groups.js'
import { notInGuest } from './guest.js'

const MAX = 32

describe('max_processes', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({ config: { max_processes: MAX } })
    calls = new Calls(agent.client)
  })
  after(() => agent?.stop())

  it('holds a fork bomb, which the timeout ends, while the agent answers', async (t) => {
    // Not by a shell: whose processes give up where they may not fork, so that the bomb may end by itself.
    const bomb = `perl -e '$SIG{CHLD} = "IGNORE"; while () { fork }'`
    // The leader needs no further process to live until the timeout.
    await calls.script('bomb', `cat /proc/self/cgroup; ${bomb} & exec sleep 60`, {
      timeout_seconds: 12,
      env: { BOMB: agent.dir },
    })
    await calls.script('innocent', 'echo unharmed')
    const id = await calls.start('bomb')
    const { output = '' } = await calls.printed(id, '0::')
    const group = groupIn(output)
    const counts: number[] = []
    let sampling = true
    const sampled = (async () => {
      for (; sampling; await sleep(20)) counts.push(Number(readGroup(group, 'pids.current')))
    })()
    t.after(() => {
      sampling = false
    })
    await sleep(1500)
    assert.ok(processesWith('BOMB', agent.dir).length > 1, 'the bomb goes on')
    assert.equal((await calls.health()).healthy, true)
    assert.equal((await calls.execute({ function_name: 'innocent' })).output.toString(), 'unharmed\n')
    assert.ok(counter(group, 'pids.events', 'max') > 0, 'it was refused processes')
    sampling = false
    await sampled
    const [, { status, error }] = await followed(agent.operations, id)
    assert.deepEqual([status, error], ['failed', 'execution timed out after 12s'])
    assert.deepEqual(processesWith('BOMB', agent.dir), [])
    const most = Math.max(...counts)
    t.diagnostic(`${counts.length} samples, at most ${most} processes`)
    assert.ok(most > MAX / 2 && most <= MAX, `${most} processes`)
  })

  it('leaves what stays below it alone', async () => {
    const lines = `i=1; while [ $i -lt ${MAX} ]; do sleep 1 & i=$((i + 1)); done; wait; echo done`
    await calls.script('many', lines)
    const { error, output } = await calls.execute({ function_name: 'many' })
    assert.deepEqual([error, output.toString()], ['', 'done\n'])
  })

  it('counts the leader, too', async () => {
    // So long that none has ended before the last is forked, on a slow machine either.
    const lines = `i=0; while [ $i -lt ${MAX} ]; do sleep 30 & i=$((i + 1)); done; wait; echo done`
    await calls.script('one-more', lines)
    const { error, output } = await calls.execute({ function_name: 'one-more' })
    assert.match(error, /^exit code /)
    assert.match(output.toString(), /Cannot fork/i)
  })
})
