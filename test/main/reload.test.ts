import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import type { Worker } from 'node:worker_threads'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { openConnection } from '../../src/cli/connection.js'
import type { AgentConfig } from '../../src/config/config.js'
import { loadConfig } from '../../src/config/load.js'
import { AgentState } from '../../src/host/agent-state.js'
import { ServiceManager } from '../../src/host/service-manager.js'
import { createLog } from '../../src/log/log.js'
import { type RunningAgent, startAgent } from '../../src/main/index.js'

/** An agent in this process. */
async function run(t: TestContext, config: AgentConfig): Promise<[RunningAgent, Calls]> {
  const state = new AgentState()
  const agent = await startAgent(config, createLog('fatal'), state, new ServiceManager(undefined, state))
  const connection = openConnection(`127.0.0.1:${agent.port}`, credentials.createInsecure())
  t.after(async () => {
    connection.close()
    await agent.stop('the test is over')
  })
  return [agent, new Calls(connection.agent)]
}

describe('the configuration of a running agent', () => {
  it('of development defaults has no file that could be read again', async (t) => {
    const { config } = loadConfig({ env: {}, cwd: makeTempDir('flux-live-') })
    const [agent] = await run(t, { ...config, port: 0 })
    const why = 'development defaults are used: there is no file to read'
    assert.deepEqual(agent.reload(), { kind: 'not read', why })
  })

  it('counts for a thread that replaces another, too', async (t) => {
    const threads: Worker[] = []
    process.on('worker', (worker) => threads.push(worker))
    const dir = makeTempDir('flux-live-')
    const file = join(dir, 'agent.yaml')
    const keys = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self', state_dir: dir }
    const write = (more: object) => writeFileSync(file, JSON.stringify({ ...keys, workers: 1, ...more }))
    write({})
    const [agent, calls] = await run(t, loadConfig({ file, env: {}, cwd: dir }).config)
    await calls.script('print', 'head -c 800000 /dev/zero')
    write({ max_output_bytes: '128KiB', max_task: 1 })
    const { kind, ...rest } = agent.reload()
    assert.equal(kind, 'taken over')
    assert.deepEqual(rest, {
      source: file,
      changed: [{ key: 'max_output_bytes', from: 33_554_432, to: 131_072 }],
      pending: [],
      warnings: [`${file}: unknown key "max_task" is ignored; did you mean "max_tasks"?`],
    })

    await Promise.all(threads.filter(({ threadId }) => threadId > 0).map((thread) => thread.terminate()))
    const { output } = await eventually('it is replaced', async () => {
      const answer = await calls.execute({ function_name: 'print' })
      return answer.error === '' ? answer : undefined
    })
    assert.ok(output.length < 200_000, `${output.length} bytes`)
  })
})
