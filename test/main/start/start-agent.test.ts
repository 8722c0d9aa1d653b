import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { childrenOf } from '../../../harness/proc.js'
import { loadConfig } from '../../../src/config/load.js'
import { AgentState } from '../../../src/host/agent-state.js'
import { ServiceManager } from '../../../src/host/service-manager.js'
import { createLog } from '../../../src/log/log.js'
import { startAgent } from '../../../src/main/index.js'
import { Closers } from '../../../src/main/start/closers.js'

describe('a start that fails half way', () => {
  it('has closed all it had opened, so that the next one in this process serves', { timeout: 60_000 }, async (t) => {
    const taken = createServer()
    await new Promise<void>((listening) => taken.listen(0, '127.0.0.1', listening))
    t.after(() => taken.close())
    const dir = makeTempDir('flux-start-')
    const start = (port: number) => {
      const file = join(dir, 'agent.yaml')
      const lines = ['agent_id: test', 'host: 127.0.0.1', `port: ${port}`, 'redis_addr: embedded', 'run_as: self']
      writeFileSync(file, [...lines, 'state_dir: state', 'apps_dir: apps', 'log_level: error', ''].join('\n'))
      const { config } = loadConfig({ file, env: {}, cwd: dir })
      const state = new AgentState()
      return startAgent(config, createLog('silent'), state, new ServiceManager(undefined, state))
    }
    const before = childrenOf(process.pid).length
    await assert.rejects(start((taken.address() as AddressInfo).port), { name: 'StartRefused' })
    await eventually('no launcher is left', () => childrenOf(process.pid).length === before)
    // The lock of the state folder, the store in it and the name of the agent are free.
    const agent = await start(0)
    await agent.stop('the test is over')
    assert.equal(childrenOf(process.pid).length, before)
  })
})

describe('what a start has opened', () => {
  it('is closed newest first, whatever fails, and rejects with the first failure', async () => {
    const closers = new Closers()
    const closed: string[] = []
    closers.add(() => closed.push('first'))
    closers.add(() => {
      throw new Error('second')
    })
    closers.add(async () => {
      await Promise.resolve()
      closed.push('third')
      throw new Error('third')
    })
    await assert.rejects(closers.close(), { message: 'third' })
    assert.deepEqual(closed, ['third', 'first'])
  })
})
