import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { describeAgent } from '../support/describe-agent.js'
import { freeze, noFreezer } from '../support/freezer.js'
import { callSync } from '../support/live-calls.js'
import { awaitTold, TELL } from '../support/scripts.js'

const DONE = { success: true, message: 'execution cancelled' }
/** How long Flux waits for the answer. */
const FLUX_WAITS_MS = 5_000
const TOO_LATE = { success: false, message: 'execution not found or already completed' }

describeAgent('CancelExecution', ({ agent, calls }) => {
  before(async () => {
    await calls.script('run', 'eval "$1"')
    await calls.script('single', 'echo ready; touch "$1"; sleep 60', {
      max_concurrency: 1,
      max_concurrency_behavior: 'wait',
    })
  })

  async function pidsOf(id: string): Promise<number[]> {
    const { output } = await calls.printed(id, 'ready')
    return (output?.match(/\d+/g) ?? []).map(Number)
  }

  const runningOf = (pids: readonly number[]) => pids.filter(isRunning)

  it('answers when the whole group is dead, one that ignores every signal it can', async () => {
    const lines =
      'trap "" TERM HUP INT QUIT; (trap "" TERM HUP INT QUIT; sleep 60 & echo $!; ' +
      `${TELL}; wait) & echo $!; echo $$; ${awaitTold(1)}; echo ready; wait`
    const id = await calls.start('run', [lines])
    const pids = await pidsOf(id)
    assert.deepEqual(runningOf(pids), pids)
    assert.deepEqual(await calls.cancel(id), DONE)
    assert.deepEqual(runningOf(pids), [])
    const record = await calls.record(id)
    assert.deepEqual([record.status, record.error], ['cancelled', 'execution cancelled'])
    assert.match(record.output ?? '', /^(\d+\n){3}ready\n$/)
    assert.ok(record.status_at)
  })

  it('is not held up by a process that has left the group and holds the output open', async () => {
    const id = await calls.start('run', ['setsid sleep 20 & echo ready; wait'])
    await calls.printed(id, 'ready')
    assert.deepEqual(await calls.cancel(id), DONE)
    assert.equal((await calls.record(id)).status, 'cancelled')
  })

  it('says which processes SIGKILL does not end, and gives the slot back all the same', {
    skip: noFreezer,
  }, async () => {
    const lines = 'echo $$; (setsid sleep 60 & echo $!); echo ready; sleep 60'
    await calls.script('hangs', 'eval "$1"', { max_concurrency: 1 })
    const id = await calls.start('hangs', [lines])
    const [leader, pid] = (await pidsOf(id)) as [number, number]
    const thaw = await freeze(pid)
    try {
      const begun = performance.now()
      const answer = await calls.cancel(id)
      assert.ok(performance.now() - begun < FLUX_WAITS_MS)
      const left = `1 of its processes survives SIGKILL, hanging in the kernel (pid ${pid})`
      assert.deepEqual(answer, { success: false, message: `execution cancelled, but ${left}` })
      assert.deepEqual(runningOf([leader, pid]), [pid])
      const { status, error, survivors, survivor_pids } = await calls.record(id)
      assert.deepEqual([status, error, survivors, survivor_pids], ['cancelled', 'execution cancelled', 1, [pid]])
      const line = agent
        .logs()
        .split('\n')
        .find((text) => text.includes('survive SIGKILL'))
      const { level, execution, function: name, pids } = JSON.parse(line ?? '{}')
      assert.deepEqual([level, execution, name, pids], [50, id, 'hangs', [pid]])
      assert.equal((await calls.execute({ function_name: 'hangs', args: ['echo runs'] })).output.toString(), 'runs\n')
    } finally {
      await thaw()
    }
    await eventually('it is dead in the end', () => !isRunning(pid))
  })

  it('ends a sync execution, whose caller gets the output so far', async () => {
    const call = callSync(agent.client, { function_name: 'run', args: ['echo $$; echo ready; sleep 60'] })
    const pids = await pidsOf(call.id)
    assert.deepEqual(await calls.cancel(call.id), DONE)
    assert.deepEqual(runningOf(pids), [])
    const outcome = await call.outcome
    assert.ok('output' in outcome)
    assert.deepEqual([outcome.error, outcome.output.toString()], ['execution cancelled', `${pids[0]}\nready\n`])
    assert.equal((await calls.get(call.id)).found, false)
  })

  it('ends executions that wait for a slot, which then never start', async () => {
    const file = (name: string) => join(agent.dir, name)
    const holder = await calls.start('single', [file('holder')])
    await calls.printed(holder, 'ready')
    const waiting = await calls.start('single', [file('waiting')])
    const sync = callSync(agent.client, { function_name: 'single', args: [file('sync')] })
    const next = await calls.start('single', [file('next')])
    await eventually('the sync one waits', async () => (await calls.get(sync.id)).found)
    assert.deepEqual(await calls.cancel(waiting), DONE)
    assert.deepEqual(await calls.cancel(sync.id), DONE)
    const outcome = await sync.outcome
    assert.ok('error' in outcome)
    assert.equal(outcome.error, 'execution cancelled')
    const record = await calls.record(waiting)
    assert.deepEqual([record.status, record.error, record.output], ['cancelled', 'execution cancelled', undefined])
    assert.deepEqual([record.signal, record.duration_ms], [undefined, undefined], 'a process was started')
    assert.deepEqual(await calls.cancel(holder), DONE)
    await calls.printed(next, 'ready')
    await calls.cancel(next)
    assert.deepEqual([existsSync(file('waiting')), existsSync(file('sync'))], [false, false])
  })

  it('comes too late a second time', async () => {
    const id = await calls.start('run', ['echo ready; sleep 60'])
    await calls.printed(id, 'ready')
    const answers = await Promise.all([calls.cancel(id), calls.cancel(id), calls.cancel(id)])
    assert.deepEqual(answers, [DONE, TOO_LATE, TOO_LATE])
    assert.deepEqual(await calls.cancel(id), TOO_LATE)
  })

  it('comes too late after the end, and changes nothing', async () => {
    const id = await calls.start('run', ['echo done'])
    const record = await calls.ended(id)
    assert.deepEqual(await calls.cancel(id), TOO_LATE)
    assert.deepEqual(await calls.record(id), record)
  })

  it('tells an id that is not known', async () => {
    for (const id of ['unknown', '', 'not allowed at all']) assert.deepEqual(await calls.cancel(id), TOO_LATE)
  })

  it('has one winner where it races with the end, and answer and record agree', async () => {
    let won = 0
    const race = async (i: number) => {
      const sync = i % 2 === 0
      const call = callSync(agent.client, { function_name: 'run', args: ['echo x; sleep 0.02; echo y'], async: !sync })
      if (!sync) await call.outcome
      // From before its start to after its end.
      await sleep(i % 10 === 0 ? 0 : i % 10 === 1 ? 500 : Math.random() * 60)
      const answer = await calls.cancel(call.id)
      if (answer.success) won++
      const cancelled = answer.success ? 'execution cancelled' : ''
      if (sync) {
        const outcome = await call.outcome
        assert.ok('output' in outcome)
        assert.equal(outcome.error, cancelled)
        if (!answer.success) assert.equal(outcome.output.toString(), 'x\ny\n')
      } else {
        const record = await calls.ended(call.id)
        assert.deepEqual([record.status, record.error ?? ''], [answer.success ? 'cancelled' : 'success', cancelled])
        if (!answer.success) assert.equal(record.output, 'x\ny\n')
      }
    }
    for (let i = 0; i < 200; i += 20) await Promise.all(Array.from({ length: 20 }, (_, k) => race(i + k)))
    assert.ok(won > 0 && won < 200, `${won} of 200 cancels won`)
  })

  it('leaves no slot taken', async () => {
    await eventually('no task is active', async () => (await calls.status()).active_tasks === 0)
  })
})
