import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, it, type TestContext } from 'node:test'
import pino from 'pino'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { freePort } from '../../../harness/free-port.js'
import { noRedis, RedisServer } from '../../../harness/redis.js'
import { loadConfig } from '../../../src/config/load.js'
import { AgentState } from '../../../src/host/agent-state.js'
import { ServiceManager } from '../../../src/host/service-manager.js'
import { createLog } from '../../../src/log/log.js'
import { type RunningAgent, startAgent } from '../../../src/main/index.js'
import { configFileOf } from '../../support/config-file.js'
import { linesOf } from '../../support/log-lines.js'

/** A log whose warnings are kept. */
function keptLog() {
  let written = ''
  const write = (line: string) => {
    written += line
  }
  const log = pino({ level: 'warn' }, { write })
  return { log, lines: () => linesOf(written) }
}

/** Starts an agent in this process. */
function start(t: TestContext, keys: object, log = createLog('silent')): Promise<RunningAgent> {
  const dir = makeTempDir('flux-metrics-')
  const { config } = loadConfig({ file: configFileOf(dir, keys), env: {}, cwd: dir })
  const state = new AgentState()
  const agent = startAgent(config, log, state, new ServiceManager(undefined, state))
  t.after(async () => (await agent.catch(() => undefined))?.stop('the test is over'))
  return agent
}

async function answerOf(url: string, init: RequestInit = {}): Promise<[status: number, body: string]> {
  const answer = await fetch(url, init)
  return [answer.status, await answer.text()]
}

describe('the address of the metrics', () => {
  it('answers probes before the agent serves, and says what it waits for', { skip: noRedis ?? false }, async (t) => {
    const redis = await RedisServer.start()
    // While that has its port: this one must be another.
    const port = await freePort()
    await redis.halt()
    // An agent that waits for its store does not stop.
    t.after(() => redis.running || redis.restart())
    const agent = start(t, { redis_addr: redis.address, metrics: { listen: `127.0.0.1:${port}` } })
    t.after(() => redis.stop())
    const url = `http://127.0.0.1:${port}`
    const [status, why] = await eventually('it waits', async () => {
      const found = await answerOf(`${url}/readyz`).catch(() => undefined)
      return found?.[1].includes('waiting') ? found : undefined
    })
    assert.equal(status, 503)
    assert.match(why, /^not ready: waiting: the store: Redis at redis:\/\/127\.0\.0\.1:\d+: connect ECONNREFUSED/)
    assert.deepEqual(await answerOf(`${url}/healthz`), [200, 'ok: waiting\n'])
    const waiting = await answerOf(`${url}/metrics`)
    assert.match(waiting[1], /^flux_agent_state\{state="waiting"\} 1$/m)

    await redis.restart()
    const serving = await agent
    assert.deepEqual(await answerOf(`${url}/readyz`), [200, 'ready\n'])
    await serving.stop('the test is over')
    await assert.rejects(fetch(`${url}/healthz`))
  })

  it('answers GET and HEAD alone, and names what there is', async (t) => {
    const port = await freePort()
    await start(t, { metrics: { listen: `127.0.0.1:${port}` } })
    const url = `http://127.0.0.1:${port}`
    assert.deepEqual(await answerOf(`${url}/metrics`, { method: 'POST' }), [405, 'only GET and HEAD are answered\n'])
    const [status, body] = await answerOf(`${url}/toString`)
    assert.equal(status, 404)
    assert.match(body, /^not found; there are \/, .*\/metrics, \/healthz, \/readyz/)
    const head = await fetch(`${url}/healthz?verbose`, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    assert.equal(head.headers.get('x-content-type-options'), 'nosniff')
  })

  it('answers those who call this node by one of its names, and tells others once', async (t) => {
    const port = await freePort()
    const { log, lines } = keptLog()
    await start(t, { metrics: { listen: `127.0.0.1:${port}`, allowed_hosts: ['node.example'] } }, log)
    const statusFor = (host: string | undefined) =>
      new Promise<string>((resolve, reject) => {
        const lines = [
          `GET /healthz HTTP/1.${host === undefined ? 0 : 1}`,
          ...(host === undefined ? [] : [`Host: ${host}`]),
        ]
        const socket = connect(port, '127.0.0.1', () => socket.end(`${lines.join('\r\n')}\r\n\r\n`))
        text(socket).then((answer) => resolve(answer.split(' ')[1] ?? ''), reject)
      })
    for (const host of [undefined, `127.0.0.1:${port}`, 'localhost', 'node.example:1'])
      assert.equal(await statusFor(host), '200', host)
    for (let times = 0; times < 2; times++) assert.equal(await statusFor('evil.example'), '403')
    assert.deepEqual(
      lines()
        .map(({ msg }) => msg)
        .filter((msg) => msg.startsWith('refused')),
      [
        'refused: "evil.example" is not a name of this node for metrics.listen; if it is one, add it to metrics.allowed_hosts',
      ],
    )
  })

  it('does not keep a stop waiting for a client that says nothing', async (t) => {
    const port = await freePort()
    const agent = await start(t, { metrics: { listen: `127.0.0.1:${port}` } })
    const client = connect(port, '127.0.0.1')
    await once(client, 'connect')
    const closed = once(client, 'close')
    await agent.stop('the test is over')
    await closed
  })

  it('refuses the start where another program has it, and says so in one sentence', async (t) => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    t.after(() => taken.close())
    const { port } = taken.address() as AddressInfo
    await assert.rejects(start(t, { metrics: { listen: `127.0.0.1:${port}` } }), ({ name, message }: Error) => {
      assert.equal(name, 'StartRefused')
      assert.match(
        message,
        /agent\.yaml: metrics\.listen: cannot listen on 127\.0\.0\.1 port \d+: another program listens /,
      )
      return true
    })
    await assert.rejects(start(t, { metrics: { listen: '192.0.2.1:9464' } }), {
      name: 'StartRefused',
      message:
        /metrics\.listen: cannot listen on 192\.0\.2\.1 port 9464: this machine does not have that address; give /,
    })
  })
})
