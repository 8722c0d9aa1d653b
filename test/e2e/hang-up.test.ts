import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials, status } from '@grpc/grpc-js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { openConnection } from '../../src/cli/connection.js'
import { AgentServiceDefinition } from '../../src/proto.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync, type SyncCall } from '../support/live-calls.js'
import { openProxy } from '../support/proxy.js'

describeAgent('a sync caller that goes away', ({ agent, calls }) => {
  before(async () => {
    const one = { max_concurrency: 1 }
    await calls.script('family', 'trap "" TERM HUP INT; sleep 60 & echo $!; echo $$; echo ready; wait', one)
    await calls.script('holder', 'echo $$; echo ready; sleep 60', { ...one, max_concurrency_behavior: 'wait' })
    await calls.script('touch', 'touch "$1"; sleep 60', { ...one, max_concurrency_behavior: 'wait' })
  })

  async function pidsOf(id: string): Promise<number[]> {
    const { output } = await calls.printed(id, 'ready')
    return (output?.match(/\d+/g) ?? []).map(Number)
  }

  async function assertGone(pids: readonly number[]): Promise<void> {
    await eventually('the whole group is dead', () => !pids.some(isRunning))
    await eventually('its slot is given back', async () => (await calls.status()).active_tasks === 0)
  }

  async function assertCode(call: SyncCall, code: status): Promise<void> {
    const outcome = await call.outcome
    assert.ok('code' in outcome, 'answered')
    assert.equal(outcome.code, code)
  }

  it('takes the whole group with it when it cancels', async () => {
    const call = callSync(agent.client, { function_name: 'family' })
    const pids = await pidsOf(call.id)
    assert.equal(pids.length, 2)
    call.hangUp()
    await assertCode(call, status.CANCELLED)
    await assertGone(pids)
    assert.equal((await calls.get(call.id)).found, false)
  })

  it('has its answer though its deadline is weeks or years away', async () => {
    await calls.script('short', 'sleep 0.2')
    const day = 86_400
    for (const seconds of [24 * day, 25 * day, 30 * day, 50 * day, 5 * 365 * day]) {
      const connection = openConnection(`127.0.0.1:${agent.port}`, credentials.createInsecure())
      const outcome = await callSync(connection.agent, { function_name: 'short' }, seconds).outcome
      connection.close()
      assert.ok('error' in outcome && outcome.error === '', `${seconds} s: ${JSON.stringify(outcome)}`)
    }
  })

  it('takes the whole group with it when its deadline passes', async () => {
    const call = callSync(agent.client, { function_name: 'family' }, 5)
    const pids = await pidsOf(call.id)
    await assertCode(call, status.DEADLINE_EXCEEDED)
    await assertGone(pids)
  })

  it('takes the whole group with it when its connection breaks', async () => {
    const line = await openProxy(agent.port)
    const other = openConnection(`127.0.0.1:${line.port}`, credentials.createInsecure())
    const call = callSync(other.agent, { function_name: 'family' })
    const pids = await pidsOf(call.id)
    line.cut()
    await assertCode(call, status.UNAVAILABLE)
    other.close()
    await assertGone(pids)
  })

  it('leaves the queue at once, and the slot goes to the next', async () => {
    const holder = callSync(agent.client, { function_name: 'holder' })
    const pids = await pidsOf(holder.id)
    const gone = callSync(agent.client, { function_name: 'holder' })
    const stays = callSync(agent.client, { function_name: 'holder' })
    for (const { id } of [gone, stays]) await eventually('it waits', async () => (await calls.get(id)).found)
    gone.hangUp()
    await eventually('it is gone', async () => !(await calls.get(gone.id)).found)
    assert.equal((await calls.record(stays.id)).status, 'running')
    assert.equal((await calls.status()).active_tasks, 1)
    holder.hangUp()
    const next = await pidsOf(stays.id)
    stays.hangUp()
    await assertGone([...pids, ...next])
  })

  it('starts nothing where it is gone before its turn', async () => {
    const file = (name: string) => join(agent.dir, name)
    const holder = callSync(agent.client, { function_name: 'touch', args: [file('holder')] })
    await eventually('it runs', () => existsSync(file('holder')))
    const names = Array.from({ length: 50 }, (_, i) => `waiting-${i}`)
    const waiting = names.map((name) => callSync(agent.client, { function_name: 'touch', args: [file(name)] }))
    // A client of grpc-js that cancels in the turn of its call tells the server nothing.
    await sleep(1)
    for (const call of waiting) call.hangUp()
    for (const call of waiting) await assertCode(call, status.CANCELLED)
    for (const { id } of waiting) await eventually('it is gone', async () => !(await calls.get(id)).found)
    holder.hangUp()
    await assertGone([])
    assert.deepEqual(
      names.filter((name) => existsSync(file(name))),
      [],
    )
  })

  it('starts nothing where its deadline has passed before its request is whole', async () => {
    const session = connectHttp2(`http://127.0.0.1:${agent.port}`)
    const request = { function_name: 'touch', args: [join(agent.dir, 'late')], execution_id: 'late' }
    const message = AgentServiceDefinition.ExecuteFunction.requestSerialize(request)
    const stream = session.request({
      ':method': 'POST',
      ':path': AgentServiceDefinition.ExecuteFunction.path,
      'content-type': 'application/grpc',
      'grpc-timeout': '100m',
    })
    const prefix = Buffer.alloc(5)
    prefix.writeUInt32BE(message.length, 1)
    stream.write(Buffer.concat([prefix, message]))
    const [headers] = await once(stream, 'response')
    assert.equal(headers['grpc-status'], `${status.DEADLINE_EXCEEDED}`)
    stream.end()
    // Later than what is left of the request, on the same connection.
    await once(session.request({ ':path': '/' }).resume(), 'close')
    assert.equal((await calls.get('late')).found, false)
    session.close()
  })

  it('gives back every slot when many go at random moments', async () => {
    await calls.script('short', 'sleep 0.02', { max_concurrency: 4, max_concurrency_behavior: 'wait' })
    const running = Array.from({ length: 60 }, () => callSync(agent.client, { function_name: 'short' }))
    for (const call of running) setTimeout(() => call.hangUp(), Math.random() * 400)
    await Promise.all(running.map(({ outcome }) => outcome))
    await assertGone([])
    assert.equal((await calls.execute({ function_name: 'short' })).error, '')
  })

  it('may go where the execution is async: that runs on', async () => {
    await calls.script('runs-on', 'sleep 0.3; echo done')
    const call = callSync(agent.client, { function_name: 'runs-on', async: true })
    await call.outcome
    call.hangUp()
    assert.equal((await calls.ended(call.id)).output, 'done\n')
  })
})
