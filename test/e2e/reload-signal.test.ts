import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { CLI, makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { lockHolder } from '../../src/host/lock.js'
import { startCli } from '../support/cli.js'
import { agentFor } from '../support/describe-agent.js'
import { ERROR, edit, noReload, reload, reloads, said } from '../support/reload.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { noServiceManager, ServiceManagerSocket } from '../support/service-manager.js'

describe('SIGHUP', { skip: noReload }, () => {
  it('again and again loses no execution, and the last one counts', async (t) => {
    const [agent, calls] = await agentFor(t, { config: { max_tasks: 40 } })
    await calls.script('echo', 'echo "$1"', { max_concurrency_behavior: 'wait' })
    const outputs = Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        const { output, error } = await calls.execute({ function_name: 'echo', args: [`${n}`] })
        return error || output.toString()
      }),
    )
    let over = false
    void outputs.finally(() => {
      over = true
    })
    let signals = 0
    for (; !over || signals < 100; signals++) {
      edit(agent.configFile, { max_tasks: 1 + (signals % 40) })
      process.kill(agent.pid, 'SIGHUP')
      await new Promise(setImmediate)
    }
    assert.deepEqual(
      await outputs,
      Array.from({ length: 300 }, (_, n) => `${n}\n`),
    )
    const last = 1 + ((signals - 1) % 40)
    await eventually('the last is taken over', async () => (await calls.status()).max_tasks === last)
    assert.deepEqual(said(agent, ERROR, 0), [])
  })

  it('while the agent waits for its store is answered when it serves', { skip: noRedis }, async (t) => {
    const redis = await RedisServer.start()
    await redis.halt()
    const dir = makeTempDir('flux-reload-')
    const file = join(dir, 'agent.yaml')
    const keys = { agent_id: 'early', host: '127.0.0.1', port: 0, redis_addr: redis.address, run_as: 'self' }
    writeFileSync(file, JSON.stringify({ ...keys, state_dir: join(dir, 'state') }))
    const { process: agent, result } = startCli(['start', '--config', file])
    t.after(() => redis.stop())
    let log = ''
    agent.stderr?.on('data', (data) => {
      log += data
    })
    await eventually('it waits for its store', () => log.includes('waiting for the store'), 15)
    edit(file, { max_tasks: 5 })
    for (let i = 0; i < 3; i++) agent.kill('SIGHUP')
    await redis.restart()
    await eventually('it has read its configuration again', () => reloads(log).length > 0, 15)
    assert.match(log, /"serving"/)
    assert.deepEqual(reloads(log)[0]?.changed, { max_tasks: '0 → 5' })
    agent.kill('SIGTERM')
    assert.equal((await result).code, 0)
  })

  it('during a stop is no reload, and does not hold it up', async (t) => {
    const [agent, calls] = await agentFor(t)
    const gate = new Gate()
    await calls.script('hold', `echo begun; ${awaitGate(1)}`)
    const id = await calls.start('hold', [gate.path])
    await calls.printed(id, 'begun')
    process.kill(agent.pid, 'SIGTERM')
    await eventually('it is stopping', () => agent.logs().includes('"msg":"stopping"'))
    process.kill(agent.pid, 'SIGHUP')
    await eventually('it says so', () => agent.logs().includes('configuration not reloaded: the agent is stopping'))
    gate.open()
    assert.equal(await agent.stop(), 0)
  })

  it('has the service manager told of begin and end', { skip: noServiceManager }, async (t) => {
    const manager = await ServiceManagerSocket.open()
    t.after(manager.close)
    const [agent] = await agentFor(t, { env: { NOTIFY_SOCKET: manager.address } })
    await reload(agent, { max_tasks: 3 })
    await manager.told(/^RELOADING=1$/)
    await eventually('it is ready again', () => manager.with(/^READY=1$/).length === 2)
    await agent.stop()
  })

  it('of a terminal that is closed ends the agent, as no reload', {
    skip: !existsSync('/usr/bin/script'),
  }, async () => {
    const dir = makeTempDir('flux-reload-')
    const file = join(dir, 'agent.yaml')
    const keys = { agent_id: 'attached', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self' }
    writeFileSync(file, JSON.stringify({ ...keys, state_dir: join(dir, 'state') }))
    const command = `exec ${process.execPath} ${CLI} start --config ${file}`
    const terminal = spawn('script', ['--quiet', '--flush', '--return', '--command', command, join(dir, 'screen')])
    const shows = (text: string) => eventually(text, () => readFileSync(join(dir, 'screen'), 'utf8').includes(text), 30)
    await shows('serving')
    const pid = lockHolder(join(dir, 'state')) ?? assert.fail('no agent')
    process.kill(pid, 'SIGHUP')
    await shows('configuration read again')
    terminal.kill('SIGKILL')
    await eventually('it has ended', () => !isRunning(pid))
  })
})
