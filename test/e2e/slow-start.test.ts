import assert from 'node:assert/strict'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { startCli } from '../support/cli.js'

function start(t: TestContext, workers: number, env: NodeJS.ProcessEnv = {}) {
  const dir = makeTempDir('flux-slow-')
  const file = join(dir, 'agent.yaml')
  const config = { agent_id: 'a', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self', state_dir: dir }
  writeFileSync(file, JSON.stringify({ ...config, workers }))
  const { process: agent, result } = startCli(['start', '--config', file], { env })
  let log = ''
  agent.stderr?.on('data', (data) => {
    log += data
  })
  t.after(() => agent.kill('SIGKILL'))
  return { agent, result, log: () => log }
}

describe('a start on a busy machine', { skip: process.platform !== 'linux', concurrency: true }, () => {
  it('goes on while anything moves', { timeout: 150_000 }, async (t) => {
    const { agent, log } = start(t, 16)
    // As one of very many who want the processor.
    let running = true
    const turns = setInterval(() => {
      running = !running && Math.random() < 0.2
      agent.kill(running ? 'SIGCONT' : 'SIGSTOP')
    }, 50)
    t.after(() => clearInterval(turns))
    const begun = performance.now()
    const failed = () => assert.doesNotMatch(log(), /cannot start/)
    await eventually('it serves', () => failed() ?? log().includes('"serving"'), 120)
    t.diagnostic(`${Math.round((performance.now() - begun) / 1000)} s`)
  })

  it('gives up where nothing moves, and says what has not happened', { timeout: 90_000 }, async (t) => {
    // Each thread waits for that before it is ready.
    const bin = makeTempDir('flux-bin-')
    writeFileSync(join(bin, 'mkfifo'), '#!/bin/sh\nexec sleep 100\n')
    chmodSync(join(bin, 'mkfifo'), 0o755)
    const { result, log } = start(t, 3, { PATH: `${bin}:${process.env['PATH']}` })
    assert.equal((await result).code, 1)
    const words =
      /cannot start: 3 of 3 worker threads are not ready after \d+ s, and nothing has moved for 15 s; see what/
    assert.match(log(), words)
  })
})
