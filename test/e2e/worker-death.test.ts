import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { type AgentConnection, openConnection } from '../../src/cli/connection.js'
import { loadConfig } from '../../src/config/load.js'
import { AgentState } from '../../src/host/agent-state.js'
import { ServiceManager } from '../../src/host/service-manager.js'
import { createLog } from '../../src/log/log.js'
import { type RunningAgent, startAgent } from '../../src/main/index.js'
import { callSync } from '../support/live-calls.js'

const USUAL = getPriority()

// With LMDB, a thread that is ended in the middle of its native code can take the process with it (SIGSEGV).
describe('a worker thread that dies', { skip: noRedis ?? false }, () => {
  let redis: RedisServer
  const threads: Worker[] = []
  let agent: RunningAgent
  let connection: AgentConnection
  let calls: Calls

  before(async () => {
    process.on('worker', (worker) => threads.push(worker))
    redis = await RedisServer.start()
    const dir = makeTempDir('flux-worker-death-')
    const file = join(dir, 'agent.yaml')
    const settings = {
      agent_id: 'mortal',
      host: '127.0.0.1',
      port: 0,
      redis_addr: redis.address,
      run_as: 'self',
      state_dir: dir,
    }
    writeFileSync(file, JSON.stringify({ ...settings, workers: 2, max_tasks: 50 }))
    const { config } = loadConfig({ file, env: {}, cwd: dir })
    const state = new AgentState()
    agent = await startAgent(config, createLog('error'), state, new ServiceManager(undefined, state))
    connection = openConnection(`127.0.0.1:${agent.port}`, credentials.createInsecure())
    calls = new Calls(connection.agent)
    await calls.script('wait', 'sleep 600 & echo $!; echo $$; echo ready; wait')
    await calls.script('hi', 'echo hi')
    await calls.script('nice', 'nice')
  })
  after(async () => {
    connection.close()
    await agent.stop('the test is over')
    await redis.stop()
  })

  it('takes its sync executions with it, but no slot, and is replaced; async ones go on', async () => {
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
