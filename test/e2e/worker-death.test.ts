import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { getPriority } from 'node:os'
import { after, before, describe, it } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { freePort } from '../../harness/free-port.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { type AgentInProcess, startAgentInProcess } from '../support/agent-in-process.js'
import { inTransaction } from '../support/in-transaction.js'
import { callSync } from '../support/live-calls.js'
import { scrapeAt } from '../support/metrics.js'

const USUAL = getPriority()
/** An agent that has not ended by then would be killed. */
const HANGS_MS = 20_000

// With LMDB, a thread that is ended in the middle of its native code can take the process with it (SIGSEGV).
describe('a worker thread that dies', { skip: noRedis ?? false }, () => {
  let redis: RedisServer
  let agent: AgentInProcess
  let metrics: string

  before(async () => {
    redis = await RedisServer.start()
    metrics = `127.0.0.1:${await freePort()}`
    agent = await startAgentInProcess({ redis_addr: redis.address, workers: 2, metrics: { listen: metrics } })
    const { calls } = agent
    await calls.script('wait', 'sleep 600 & echo $!; echo $$; echo ready; wait')
    await calls.script('hi', 'echo hi')
    await calls.script('nice', 'nice')
  })
  after(async () => {
    await agent.stop()
    await redis.stop()
  })

  it('takes its sync executions with it, but no slot, and is replaced; async ones go on', async () => {
    const { calls, connection, threads } = agent
    const sync = Array.from({ length: 4 }, () => callSync(connection.agent, { function_name: 'wait' }))
    const async = await Promise.all([1, 2, 3, 4].map(() => calls.start('wait')))
    const pids: number[] = []
    for (const id of [...async, ...sync.map(({ id }) => id)]) {
      const { output } = await calls.printed(id, 'ready')
      pids.push(...(output?.match(/\d+/g) ?? []).map(Number))
    }
    assert.equal(pids.length, 16)
    const supervising = threads.filter(({ threadId }) => threadId > 0)
    const before = threads.length
    // All of them: whichever supervises what.
    await Promise.all(supervising.map((thread) => thread.terminate()))

    for (const { outcome } of sync) {
      const response = await outcome
      assert.ok('output' in response, 'answered by a status')
      assert.match(response.error, /^worker thread failed/)
    }
    await eventually('the processes of sync ones are dead', () => !pids.slice(8).some(isRunning))
    await eventually('their slots are free', async () => (await calls.status()).active_tasks === 4)
    assert.equal(pids.slice(0, 8).every(isRunning), true)
    for (const id of async) {
      assert.equal((await calls.record(id)).status, 'running')
      const cancel = await calls.cancel(id)
      assert.equal(cancel.success, true, cancel.message)
      const { status, error, output } = await calls.ended(id)
      assert.deepEqual([status, error], ['cancelled', 'execution cancelled'])
      assert.match(output ?? '', /^\d+\n\d+\nready\n$/)
    }
    await eventually('every process is dead', () => !pids.some(isRunning))
    await eventually('every slot is free', async () => (await calls.status()).active_tasks === 0)
    await eventually('new threads have come', () => threads.length > before)
    const counted = await scrapeAt(`http://${metrics}`)
    assert.equal(counted.get('flux_agent_worker_deaths_total'), 2)
    assert.equal(counted.get('flux_agent_executions_total{function="wait",outcome="lost"}'), 4)
    assert.equal(counted.get('flux_agent_executions_total{function="wait",outcome="cancelled"}'), 4)
    for (let i = 0; i < 10; i++) {
      const response = await calls.execute({ function_name: 'hi' })
      assert.deepEqual([response.error, response.output.toString()], ['', 'hi\n'])
    }
    // Not that of the thread that has started the new ones.
    assert.equal((await calls.execute({ function_name: 'nice' })).output.toString(), `${USUAL}\n`)
    const id = await calls.start('hi')
    assert.equal((await calls.ended(id)).output, 'hi\n')
    await calls.script('hi', 'echo deployed again')
    assert.equal((await calls.execute({ function_name: 'hi' })).output.toString(), 'deployed again\n')
  })
})

describe('a worker thread that meets a defect in the middle of a transaction of the embedded store', () => {
  it('is replaced as well, and nothing waits for it', async (t) => {
    const environment = inTransaction('worker', "setTimeout(() => { throw new Error('as meant') })")
    const agent = await startTestAgent({ config: { redis_addr: 'embedded', workers: 1 }, ...environment })
    t.after(agent.kill)
    const calls = new Calls(agent.client)
    await calls.script('hi', 'echo hi')
    await calls.execute({ function_name: 'hi', execution_id: randomUUID(), async: true })
    await eventually('it is replaced', () => agent.logs().includes('a worker thread has died; it is replaced'))
    assert.match(agent.logs(), /"message":"as meant".*"an error ends a worker thread"/)
    const answered = async () => (await calls.execute({ function_name: 'hi' })).output.toString() === 'hi\n'
    await eventually('another one runs executions', answered)
    const begun = performance.now()
    await agent.stop()
    assert.ok(performance.now() - begun < HANGS_MS)
  })
})
