import assert from 'node:assert/strict'
import { existsSync, rmSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import type { ExecutionRecord } from '../../src/store/record.js'
import { followed } from '../support/live-calls.js'
import { groupIn, hold, readGroup } from './groups.js'
import { notInGuest } from './guest.js'

const LIMIT_KB = 64 * 1024

describe('memory_mb', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({ config: { isolation: 'required' } })
    calls = new Calls(agent.client)
    await calls.script('greedy', `${hold(200)}; echo survived`, { memory_mb: 64 })
    await calls.script('modest', `${hold(30)}; echo survived`, { memory_mb: 64 })
  })
  after(() => agent?.stop())

  /** To the end, without asking again and again: the guest has one processor. */
  async function run(name: string): Promise<[string, ExecutionRecord]> {
    const [output, record] = await followed(agent.operations, await calls.start(name))
    return [output.toString(), record]
  }

  it('kills what exceeds it, and says so to a sync caller', async () => {
    const { error, output } = await calls.execute({ function_name: 'greedy' })
    assert.equal(error, 'out of memory: exceeded 64 MB')
    assert.equal(output.toString(), '')
  })

  it('kills what exceeds it, with its leader, and says so in the record of an async one', async () => {
    // The leader, a shell, holds next to nothing and would go on.
    const [output, { status, error, signal, exit_code, oom_killed, oom_kills, max_rss_kb }] = await run('greedy')
    assert.equal(output, '')
    assert.deepEqual(
      { status, error, signal, exit_code, oom_killed, oom_kills },
      {
        status: 'failed',
        error: 'out of memory: exceeded 64 MB',
        signal: 'SIGKILL',
        exit_code: undefined,
        oom_killed: true,
        oom_kills: undefined,
      },
    )
    assert.ok(between(max_rss_kb, 0.95 * LIMIT_KB, LIMIT_KB), `max_rss_kb ${max_rss_kb}`)
  })

  it('lets run what stays within it', async () => {
    const [output, { error, oom_killed, max_rss_kb }] = await run('modest')
    assert.deepEqual([output, error, oom_killed], ['survived\n', undefined, undefined])
    assert.ok(between(max_rss_kb, 30 * 1024, LIMIT_KB), `max_rss_kb ${max_rss_kb}`)
  })

  it('kills the other processes of the execution, too, as one', async () => {
    // What has exceeded it is not the leader, and neither is one that would tell if it lived on.
    await calls.script('family', `setsid sh -c 'while echo alive; do sleep 1; done' & sleep 2; ${hold(100)}`, {
      memory_mb: 24,
    })
    const [output, { error, signal }] = await run('family')
    assert.match(output, /^(alive\n)+$/)
    assert.deepEqual([error, signal], ['out of memory: exceeded 24 MB', 'SIGKILL'])
  })

  const others = [
    [
      'that exits with the code a shell gives one killed for it',
      'exit 137',
      { exit_code: 137, error: 'exit code 137' },
    ],
    ['that kills itself', 'kill -9 $$', { signal: 'SIGKILL', error: 'killed by SIGKILL' }],
    ['of which a child is killed', "sh -c 'kill -9 $$'; exit 3", { exit_code: 3, error: 'exit code 3' }],
  ] as const
  for (const [what, lines, expected] of others) {
    it(`is not blamed for a function ${what}`, async () => {
      await calls.script('other', lines, { memory_mb: 64 })
      const [, { exit_code, signal, error, oom_killed }] = await run('other')
      assert.deepEqual(
        { exit_code, signal, error, oom_killed },
        { exit_code: undefined, signal: undefined, oom_killed: undefined, ...expected },
      )
    })
  }

  it('is set for the whole cgroup, without swap', async () => {
    await calls.script('waits', 'cat /proc/self/cgroup; exec sleep 300', { memory_mb: 64 })
    const id = await calls.start('waits')
    const { output = '' } = await calls.printed(id, '0::')
    const group = groupIn(output)
    assert.equal(readGroup(group, 'memory.max'), String(64 << 20))
    assert.equal(readGroup(group, 'memory.oom.group'), '1')
    if (existsSync(`${group}/memory.swap.max`)) assert.equal(readGroup(group, 'memory.swap.max'), '0')
    await calls.cancel(id)
  })

  it('is not used up by files in memory that an earlier execution has left', async (t) => {
    const left = `/dev/shm/flux-test-${process.pid}`
    t.after(() => rmSync(left, { force: true }))
    await calls.script('leaves', `head -c 50m /dev/zero >${left}; cat /proc/self/cgroup`, { memory_mb: 64 })
    await calls.script('next', `cat /proc/self/cgroup; ${hold(30)}`, { memory_mb: 64 })
    const first = await calls.execute({ function_name: 'leaves' })
    assert.equal(first.error, '')
    const second = await calls.execute({ function_name: 'next' })
    assert.equal(second.error, '')
    assert.notEqual(groupIn(second.output.toString()), groupIn(first.output.toString()))
  })
})

describe('oom_kill: process', { skip: notInGuest }, () => {
  let agent: TestAgent
  let calls: Calls

  before(async () => {
    agent = await startTestAgent({ config: { isolation: 'required', oom_kill: 'process' } })
    calls = new Calls(agent.client)
  })
  after(() => agent?.stop())

  async function run(lines: string): Promise<[string, ExecutionRecord]> {
    await calls.script('run', lines, { memory_mb: 64 })
    const [output, record] = await followed(agent.operations, await calls.start('run'))
    return [output.toString(), record]
  }

  it('has the kernel kill one process, without which the execution goes on', async () => {
    const [output, record] = await run(`${hold(200)}; echo "it ended with $?"`)
    const [told] = output.split('\n').slice(-2)
    assert.equal(told, 'it ended with 137')
    const { status, error, exit_code, oom_killed, oom_kills } = record
    assert.deepEqual(
      { status, error, exit_code, oom_killed, oom_kills },
      { status: 'success', error: undefined, exit_code: 0, oom_killed: true, oom_kills: 1 },
    )
  })

  it('fails an execution whose leader is the one, and what is left of it is killed', async () => {
    const [, { status, error, signal, oom_killed, oom_kills }] = await run(`sleep 300 & exec ${hold(200)}`)
    assert.deepEqual(
      { status, error, signal, oom_killed, oom_kills },
      { status: 'failed', error: 'out of memory: exceeded 64 MB', signal: 'SIGKILL', oom_killed: true, oom_kills: 1 },
    )
  })

  it('says nothing of memory where nothing was killed for it', async () => {
    const [, record] = await run('kill -9 $$')
    assert.equal(record.error, 'killed by SIGKILL')
    assert.equal('oom_killed' in record || 'oom_kills' in record, false)
  })
})

function between(value: number | undefined, least: number, most: number): boolean {
  return value !== undefined && value >= least && value <= most
}
