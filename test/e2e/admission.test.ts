import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, beforeEach, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync } from '../support/live-calls.js'

const WAIT = { max_concurrency_behavior: 'wait' }

/** Says its name in a journal, then runs until the gate is there. */
const HOLD = 'echo "$3" >> "$1"; while [ ! -e "$2" ]; do sleep 0.02; done'

describeAgent('admission', { config: { max_tasks: 4, max_queued: 5 } }, ({ agent, calls }) => {
  let gate: string
  let journal: string
  let count = 0

  before(async () => {
    await calls.script('one', HOLD, { max_concurrency: 1 })
    await calls.script('one-waits', HOLD, { max_concurrency: 1, ...WAIT })
    await calls.script('any', HOLD)
    await calls.script('any-waits', HOLD, WAIT)
  })
  beforeEach(() => {
    gate = join(agent.dir, `gate-${count}`)
    journal = join(agent.dir, `journal-${count++}`)
  })

  const args = (name: string) => [journal, gate, name]
  const started = () => (existsSync(journal) ? readFileSync(journal, 'utf8').trim().split('\n') : [])
  const hasStarted = (...names: string[]) =>
    eventually(`${names} have started`, () => started().toSorted().join() === names.toSorted().join())

  /** Starts one that runs until the gate is open. */
  async function hold(functionName: string, name: string): Promise<string> {
    const id = await calls.start(functionName, args(name))
    await eventually(`${name} has started`, () => started().includes(name))
    return id
  }

  const errorOf = async (functionName: string) =>
    (await calls.execute({ function_name: functionName, args: args('turned away') })).error

  async function openGate(): Promise<void> {
    writeFileSync(gate, '')
    await eventually('no task is active', async () => (await calls.status()).active_tasks === 0)
  }

  it('turns away what exceeds max_concurrency, sync and async', async () => {
    await hold('one', 'first')
    assert.equal(await errorOf('one'), 'function one at capacity')
    const request = { function_name: 'one', args: args('turned away'), execution_id: 'turned-away', async: true }
    assert.equal((await calls.execute(request)).error, 'function one at capacity')
    assert.equal((await calls.ended('turned-away')).error, 'function one at capacity')
    await openGate()
    assert.deepEqual(started(), ['first'])
  })

  it('turns away what exceeds max_tasks, and tells both numbers', async () => {
    for (const name of ['1', '2', '3']) await hold('any', name)
    await hold('one', '4')
    const { active_tasks, max_tasks } = await calls.status()
    assert.deepEqual([active_tasks, max_tasks], [4, 4])
    assert.equal(await errorOf('any'), 'function any at capacity')
    await openGate()
    assert.equal(started().length, 4)
  })

  it('lets those that wait run one after the other, in the order they came', async () => {
    const ids = [await hold('one-waits', '0')]
    for (const name of ['1', '2', '3', '4', '5']) ids.push(await calls.start('one-waits', args(name)))
    assert.deepEqual(started(), ['0'])
    assert.equal((await calls.status()).active_tasks, 1)
    for (const id of ids) assert.equal((await calls.record(id)).status, 'running')
    await openGate()
    for (const id of ids) assert.equal((await calls.ended(id)).status, 'success')
    assert.deepEqual(started(), ['0', '1', '2', '3', '4', '5'])
  })

  it('lets those that wait for the node run in the order they came, whichever function they are', async () => {
    const first = await hold('any', '0')
    for (const name of ['1', '2', '3']) await hold('any-waits', name)
    await calls.start('any-waits', args('4'))
    await calls.start('one-waits', args('5'))
    assert.equal((await calls.status()).active_tasks, 4)
    await calls.cancel(first)
    await hasStarted('0', '1', '2', '3', '4')
    await openGate()
    await hasStarted('0', '1', '2', '3', '4', '5')
  })

  it('turns away what finds the queue full; one that leaves makes room at once', async () => {
    await hold('one-waits', 'holder')
    const waiting: string[] = []
    for (let i = 0; i < 4; i++) waiting.push(await calls.start('one-waits', args(`${i}`)))
    const sync = callSync(agent.client, { function_name: 'one-waits', args: args('sync') })
    await eventually('the fifth waits', async () => (await calls.get(sync.id)).found)
    assert.equal(await errorOf('one-waits'), 'function one-waits at capacity')
    // What need not wait is not turned away.
    await hold('any', 'any')

    await calls.cancel(waiting[0] as string)
    const replacement = await calls.start('one-waits', args('replacement'))
    assert.equal(await errorOf('one-waits'), 'function one-waits at capacity')

    sync.hangUp()
    await eventually('the caller that hung up is gone', async () => !(await calls.get(sync.id)).found)
    await calls.start('one-waits', args('last'))
    assert.equal(await errorOf('one-waits'), 'function one-waits at capacity')
    await openGate()
    await calls.ended(replacement)
    await hasStarted('holder', 'any', '1', '2', '3', 'replacement', 'last')
  })

  it('serves those that wait when max_concurrency is raised', async () => {
    await calls.script('raised', HOLD, { max_concurrency: 1, ...WAIT })
    await hold('raised', '0')
    for (const name of ['1', '2', '3']) await calls.start('raised', args(name))
    await calls.register({ name: 'raised', handler: 'main.sh', max_concurrency: 3, ...WAIT })
    await hasStarted('0', '1', '2')
    assert.equal((await calls.status()).active_tasks, 3)
    await calls.register({ name: 'raised', handler: 'main.sh', max_concurrency: 0, ...WAIT })
    await hasStarted('0', '1', '2', '3')
    await openGate()
  })

  it('starts no more when max_concurrency is lowered, and ends none', async () => {
    await calls.script('lowered', HOLD, { max_concurrency: 3 })
    for (const name of ['0', '1', '2']) await hold('lowered', name)
    await calls.register({ name: 'lowered', handler: 'main.sh', max_concurrency: 1 })
    assert.equal((await calls.status()).active_tasks, 3)
    assert.equal(await errorOf('lowered'), 'function lowered at capacity')
    await openGate()
  })

  it('applies the limit of a function that was registered before a restart', async () => {
    await agent.restart()
    await hold('one', 'first')
    assert.equal(await errorOf('one'), 'function one at capacity')
    await openGate()
  })

  it('gives the slot back after every kind of end', async () => {
    await calls.script('ends', 'eval "$1"', { max_concurrency: 1, timeout_seconds: 1 })
    await calls.register({ name: 'lost', handler: 'main.sh', max_concurrency: 1 })
    const execute = (lines: string, id = '') =>
      calls.execute({ function_name: 'ends', args: [lines], execution_id: id })
    const free = () => eventually('the slot is free', async () => (await execute('true')).error === '')
    const running = async (async: boolean) => {
      const call = callSync(agent.client, { function_name: 'ends', args: ['echo ready; sleep 60'], async })
      await calls.printed(call.id, 'ready')
      return call
    }
    // A sync answer comes when the slot is free already.
    for (const lines of ['true', 'exit 3', 'kill -SEGV $$', 'sleep 60']) {
      await execute(lines)
      assert.equal((await execute('true')).error, '', lines)
    }
    // A sync one that has timed out is found no more.
    await calls.script('ends', 'eval "$1"', { max_concurrency: 1, timeout_seconds: 60 })
    await calls.ended(await calls.start('ends', ['true']))
    await free()
    for (const async of [true, false]) {
      const { id } = await running(async)
      await calls.cancel(id)
      assert.equal((await execute('true')).error, '', 'cancelled')
    }
    ;(await running(false)).hangUp()
    await free()
    await calls.ended(await calls.start('ends', ['true'], 'recorded'))
    assert.equal((await execute('true', 'recorded')).error, 'execution ID already exists')
    await free()
    await execute('x'.repeat(300_000))
    assert.equal((await execute('true')).error, '', 'not started')
    assert.equal((await calls.status()).active_tasks, 0)
  })
})
