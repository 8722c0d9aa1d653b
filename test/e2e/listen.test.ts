import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { openConnection } from '../../src/cli/connection.js'
import { startCli } from '../support/cli.js'
import { agentFor } from '../support/describe-agent.js'
import { statusOf } from '../support/flux-client.js'

const WITHOUT_IPV6 = fileURLToPath(new URL('../../../test/support/without-ipv6.c', import.meta.url))
const COMPILER = process.env['CC'] ?? 'cc'
const noCompiler = process.platform === 'linux' && spawnSync(COMPILER, ['--version']).status === 0 ? false : 'no cc'
const noIpv6 = !networkInterfaces()['lo']?.some(({ family }) => family === 'IPv6') && 'this machine has no IPv6'
const notLinux = process.platform !== 'linux' && 'Linux only'

async function healthAt(address: string): Promise<string> {
  const { agent, close } = openConnection(address, credentials.createInsecure())
  const found = await statusOf(new Calls(agent).health())
  close()
  return found
}

describe('an agent that is not told where to listen', () => {
  it('is reached by IPv6 and by IPv4', { skip: noIpv6 }, async (t) => {
    const [agent] = await agentFor(t, { config: { host: undefined } })
    assert.equal(await healthAt(`127.0.0.1:${agent.port}`), 'OK')
    assert.equal(await healthAt(`[::1]:${agent.port}`), 'OK')
    assert.match(agent.logs(), /"host":"::"/)
  })

  it('is reached by IPv4 where the machine has no IPv6', { skip: noCompiler }, async (t) => {
    const without = join(makeTempDir('flux-listen-'), 'without-ipv6')
    const { status, stderr } = spawnSync(COMPILER, ['-o', without, WITHOUT_IPV6], { encoding: 'utf8' })
    assert.equal(status, 0, stderr)
    const [agent] = await agentFor(t, { config: { host: undefined }, through: [without] })
    assert.equal(await healthAt(`127.0.0.1:${agent.port}`), 'OK')
    assert.match(agent.logs(), /"host":"0\.0\.0\.0"/)
  })
})

describe('a port that something else has', () => {
  /** Starts an agent on that port; answers its log as it grows. */
  function start(t: TestContext, port: number) {
    const dir = makeTempDir('flux-listen-')
    const file = join(dir, 'agent.yaml')
    const config = { agent_id: 'a', host: '127.0.0.1', port, redis_addr: 'embedded', run_as: 'self', state_dir: dir }
    writeFileSync(file, JSON.stringify(config))
    const { process: agent, result } = startCli(['start', '--config', file])
    t.after(async () => {
      agent.kill('SIGTERM')
      await result
    })
    let log = ''
    agent.stderr?.on('data', (data) => {
      log += data
    })
    return { log: () => log, result }
  }

  it('is waited for, some seconds', async (t) => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    const { log } = start(t, (holder.address() as { port: number }).port)
    await eventually('it waits', () => /another program listens there; stop process \d+ .*trying for/.test(log()), 30)
    holder.close()
    await eventually('it serves', () => log().includes('"serving"'))
  })

  it('by an outgoing connection is told as such, with what keeps it free', { skip: notLinux }, async (t) => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const held = connect((server.address() as { port: number }).port, '127.0.0.1')
    await once(held, 'connect')
    t.after(() => {
      held.destroy()
      server.close()
    })
    const port = held.localPort as number
    const { log, result } = start(t, port)
    assert.equal((await result).code, 1)
    assert.match(log(), new RegExp(`port ${port}: an outgoing connection has that port, of process ${process.pid} `))
    assert.match(log(), new RegExp(`sysctl net\\.ipv4\\.ip_local_reserved_ports=${port}`))
  })
})
