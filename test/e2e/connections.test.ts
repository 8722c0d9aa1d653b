import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { issueAgent, makeCertificates, writeAgentFiles } from '../../harness/certificates.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import { isRunning } from '../../harness/processes.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { answer, openConnection } from '../../src/cli/connection.js'
import type { DeploymentAck__Output } from '../../src/generated/flux/DeploymentAck.js'
import { TLS_SERVER_NAME } from '../../src/proto.js'
import { agentFor } from '../support/describe-agent.js'
import { type Clients, clientsTo, mutualTls, statusOf } from '../support/flux-client.js'
import { callSync } from '../support/live-calls.js'
import { noOtherMachine, OtherMachine } from '../support/other-machine.js'
import { openProxy } from '../support/proxy.js'

const MB = 1_000_000
/** Uploads of 45 MB at once. */
const UPLOADS = process.env['CI'] ? 12 : 9
const REFUSED_UPLOADS = process.env['CI'] ? 10 : 5
const SYNC_CALLER = fileURLToPath(new URL('../support/sync-caller.js', import.meta.url))
const { authority, agent: identity, flux } = await makeCertificates()
const asFlux = mutualTls(authority.cert, flux)

function withTls() {
  const { caCert, certFile, keyFile } = writeAgentFiles(makeTempDir('flux-tls-'), authority, identity)
  return { tls: { ca_cert: caCert, cert_file: certFile, key_file: keyFile } }
}

describe('connections', { concurrency: true }, () => {
  describe('a caller that vanishes without a word', { concurrency: 1 }, () => {
    let agent: TestAgent
    let calls: Calls

    before(async () => {
      agent = await startTestAgent()
      calls = new Calls(agent.client)
      await calls.script('long', 'echo $$; echo ready; exec sleep 600')
      await calls.script('minute', 'sleep 55; echo done')
    })
    after(() => agent.stop())

    async function pidOf(id: string): Promise<number> {
      const { output } = await calls.printed(id, 'ready', 30)
      return Number(output?.split('\n')[0])
    }

    it('takes its sync execution with it within a minute, and nobody else', { timeout: 120_000 }, async (t) => {
      const proxy = await openProxy(agent.port)
      const behind = openConnection(`127.0.0.1:${proxy.port}`, credentials.createInsecure())
      const cutOff = callSync(behind.agent, { function_name: 'long' }, 600)
      // Its kernel goes on to acknowledge what comes.
      const frozen = spawn(process.execPath, [SYNC_CALLER, `127.0.0.1:${agent.port}`, 'long', 'frozen'], {
        stdio: 'ignore',
      })
      onExit(() => frozen.kill('SIGKILL'))
      const healthy = callSync(agent.client, { function_name: 'minute' }, 600)
      const pids = [await pidOf(cutOff.id), await pidOf('frozen')]
      const vanished = performance.now()
      t.after(() => {
        frozen.kill('SIGKILL')
        behind.close()
        // A connection that the client has begun anew meanwhile would keep this process.
        proxy.cut()
      })
      proxy.stall()
      frozen.kill('SIGSTOP')
      await eventually('both have ended', () => !pids.some(isRunning), 60)
      const seconds = (performance.now() - vanished) / 1000
      assert.ok(seconds > 5, `ended after ${seconds} s, by something else`)
      const outcome = await healthy.outcome
      assert.ok('output' in outcome, 'a healthy caller gets its answer')
      assert.equal(outcome.output.toString(), 'done\n')
    })
  })

  describe('a caller on another machine', { skip: noOtherMachine ?? false }, () => {
    it('takes its sync execution with it where all packets are dropped', { timeout: 120_000 }, async (t) => {
      const [agent, calls] = await agentFor(t, { config: { host: '0.0.0.0' } })
      await calls.script('long', 'echo $$; echo ready; exec sleep 600')
      const machine = new OtherMachine()
      const address = `${machine.here}:${agent.port}`
      const caller = machine.start(process.execPath, SYNC_CALLER, address, 'long', 'dropped')
      t.after(async () => {
        caller.kill('SIGKILL')
        await once(caller, 'exit')
        machine.remove()
      })
      const { output } = await calls.printed('dropped', 'ready', 30)
      const vanished = performance.now()
      machine.vanish()
      await eventually('it has ended', () => !isRunning(Number(output?.split('\n')[0])), 60)
      const seconds = (performance.now() - vanished) / 1000
      t.diagnostic(`ended after ${seconds.toFixed(1)} s`)
      assert.ok(seconds > 5, `ended after ${seconds} s, by something else`)
      assert.equal(caller.exitCode, null, 'the caller waits')
      await eventually('its slot is given back', async () => (await calls.status()).active_tasks === 0)
    })
  })

  describe('connections that nobody calls on', { concurrency: 1 }, () => {
    let agent: TestAgent

    before(async () => {
      agent = await startTestAgent({ config: withTls(), credentials: asFlux })
    })
    after(() => agent.stop())

    async function silent(): Promise<Socket> {
      const socket = connect(agent.port, '127.0.0.1').on('error', () => {})
      await once(socket, 'connect')
      return socket
    }

    it('are closed where they say nothing, before TLS and after it', { timeout: 90_000 }, async () => {
      const [nothing, half] = [await silent(), await silent()]
      // The first bytes of a handshake.
      half.write(Buffer.from('160301', 'hex'))
      const { cert, key } = flux
      const shaken = connectTls({
        port: agent.port,
        host: '127.0.0.1',
        ca: authority.cert,
        cert,
        key,
        servername: TLS_SERVER_NAME,
        ALPNProtocols: ['h2'],
      })
      await once(shaken, 'secureConnect')
      for (const [socket, seconds] of [
        [nothing, 15],
        [half, 15],
        [shaken, 50],
      ] as const) {
        socket.resume()
        await eventually('it is closed', () => socket.destroyed, seconds)
      }
    })

    it('give way to newer ones, and Flux is served meanwhile', async () => {
      const sockets: Socket[] = []
      for (let i = 0; i < 400; i++) sockets.push((await silent()).resume())
      const clients = clientsTo(agent.port, asFlux)
      assert.equal(await statusOf(new Calls(clients.agent).health()), 'OK')
      await eventually('the oldest are closed', () => sockets.slice(0, 100).every(({ destroyed }) => destroyed))
      assert.ok(sockets.filter(({ destroyed }) => !destroyed).length <= 256)
      assert.equal(await statusOf(new Calls(clients.agent).health()), 'OK')
      clients.close()
      for (const socket of sockets) socket.destroy()
    })
  })
})

describe('a caller that may not call', { concurrency: 1 }, () => {
  let agent: TestAgent
  let stranger: Clients

  before(async () => {
    agent = await startTestAgent({ config: withTls(), credentials: asFlux })
    await new Calls(agent.client).health()
    stranger = clientsTo(agent.port, mutualTls(authority.cert, await issueAgent(authority)))
  })
  after(async () => {
    stranger.close()
    await agent.stop()
  })

  const refusals = () =>
    agent
      .logs()
      .split('\n')
      .filter((line) => line.includes('refused'))

  it('is refused before its messages are read, and told of once', { timeout: 120_000 }, async () => {
    const before = ownMemoryMiB(agent.pid)
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, ownMemoryMiB(agent.pid))
    }, 5)
    const archive = Buffer.alloc(45 * MB)
    const outcomes = await Promise.all(
      Array.from({ length: REFUSED_UPLOADS }, () => {
        const request = { function_name: 'f', code_archive: archive }
        return statusOf(answer((options, done) => stranger.agent.deployFunction(request, options, done), 60))
      }),
    )
    clearInterval(watch)
    assert.deepEqual(new Set(outcomes), new Set(['PERMISSION_DENIED']))
    assert.ok(most - before < 60, `from ${before} to ${most} MiB`)
    await eventually('it is told of', () => refusals().length > 0)
    assert.equal(refusals().length, 1, agent.logs())
    assert.match(refusals()[0] ?? '', /refused: caller \\"flux-agent\\" .* is not among tls\.allowed_clients/)
  })

  it('loses its connection once it has its answer', async (t) => {
    const proxy = await openProxy(agent.port)
    const through = clientsTo(proxy.port, mutualTls(authority.cert, await issueAgent(authority)))
    t.after(() => through.close())
    assert.equal(await statusOf(new Calls(through.agent).health()), 'PERMISSION_DENIED')
    const ended = await Promise.race([proxy.closed(), sleep(5_000, false)])
    assert.notEqual(ended, false, 'the connection is still open')
    const again = () => statusOf(new Calls(through.agent).health())
    await eventually('it is answered on another', async () => (await again()) === 'PERMISSION_DENIED')
  })
})

describe('callers with much code', { concurrency: 1 }, () => {
  it('are read a few at a time, and all have their answer', { timeout: 120_000 }, async (t) => {
    const [agent, calls] = await agentFor(t)
    const main = { name: 'main.sh', contents: '#!/bin/sh\n', mode: PROGRAM }
    const archive = buildZip([main, { name: 'data', contents: randomBytes(45 * MB), stored: true }])
    await calls.health()
    const before = ownMemoryMiB(agent.pid)
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, ownMemoryMiB(agent.pid))
    }, 5)
    const deploys = Array.from({ length: UPLOADS }, (_, i) =>
      answer<DeploymentAck__Output>((options, done) => {
        const request = {
          function_name: `f${i}`,
          code_archive: archive,
          config: { name: `f${i}`, handler: 'main.sh' },
        }
        return agent.client.deployFunction(request, options, done)
      }, 100),
    )
    const answers = await Promise.all(deploys)
    clearInterval(watch)
    assert.deepEqual(new Set(answers.map(({ success }) => success)), new Set([true]))
    assert.ok(most - before < 700, `from ${before} to ${most} MiB`)
  })
})
