import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir, startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { freePort } from '../../harness/free-port.js'
import { launchersOf } from '../../harness/launchers.js'
import { listeningPorts } from '../../harness/proc.js'
import { noRedis, RedisServer } from '../../harness/redis.js'
import { runCli, startCli } from '../support/cli.js'
import { agentFor } from '../support/describe-agent.js'
import { inTransaction } from '../support/in-transaction.js'

/** As pino numbers it. */
const ERROR = 50
/** A command that has not ended by then would be killed. */
const HANGS_MS = 30_000
const onLinux = { skip: process.platform !== 'linux' }

/** An agent.yaml with these keys, in a folder of its own. */
function configured(keys: Readonly<Record<string, unknown>>): string {
  const dir = makeTempDir('flux-start-')
  const config = { agent_id: 'starter', host: '127.0.0.1', port: 0, redis_addr: 'embedded', run_as: 'self' }
  writeFileSync(join(dir, 'agent.yaml'), JSON.stringify({ ...config, state_dir: join(dir, 'state'), ...keys }))
  return join(dir, 'agent.yaml')
}

/** Messages of the log; of what is no JSON the line itself. */
function messages(stderr: string, leastLevel = 0): string[] {
  const lines = stderr.split('\n').filter((line) => line !== '')
  const parsed = lines.map((line) => (line.startsWith('{') ? JSON.parse(line) : { level: ERROR, msg: line }))
  return parsed.filter(({ level }) => level >= leastLevel).map(({ msg }) => msg)
}

/** Starts an agent that is expected to end by itself; answers its exit code and what it says beside warnings. */
async function refusedStart(keys: Readonly<Record<string, unknown>>): Promise<[number | null, string[]]> {
  const { code, stderr } = await runCli(['start', '--config', configured(keys)])
  assert.equal(stderr.includes('    at '), false, stderr)
  return [code, messages(stderr, ERROR)]
}

describe('a start', () => {
  it('with port 0 takes a free one, and no other', onLinux, async (t) => {
    const [agent] = await agentFor(t)
    assert.ok(agent.port > 0)
    assert.deepEqual(listeningPorts(agent.pid), [agent.port])
  })

  it('on a port that is taken ends with one line', async (t) => {
    const holder = createServer().listen(0, '127.0.0.1')
    await once(holder, 'listening')
    t.after(() => holder.close())
    const { port } = holder.address() as { port: number }
    const [code, lines] = await refusedStart({ port })
    assert.equal(code, 1)
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(
      lines[0] ?? '',
      new RegExp(
        `agent\\.yaml: cannot listen on 127\\.0\\.0\\.1 port ${port}: another program listens there; stop process ${process.pid} \\(`,
      ),
    )
  })

  it('on an address of another machine ends with one line', async () => {
    const [code, lines] = await refusedStart({ host: '192.0.2.1' })
    assert.equal(code, 1)
    assert.equal(lines.length, 1, lines.join('\n'))
    assert.match(lines[0] ?? '', /cannot listen on 192\.0\.2\.1 port 0: this machine does not have that address; /)
  })

  it('on the state of an agent that runs ends with one line', async (t) => {
    const [agent] = await agentFor(t)
    const [code, lines] = await refusedStart({ state_dir: join(agent.dir, 'state') })
    assert.deepEqual([code, lines.length], [1, 1], lines.join('\n'))
    assert.match(lines[0] ?? '', new RegExp(`state is in use by process ${agent.pid}; stop it, or give this agent`))
    assert.equal((await new Calls(agent.client).health()).healthy, true)
  })

  it('without a configuration file says so and takes the development defaults', async () => {
    const cwd = makeTempDir('flux-start-')
    // Its port is the default one, which another agent of this machine may have, or an outgoing connection.
    const { process: agent, result } = startCli(['start'], { cwd })
    let log = ''
    agent.stderr?.on('data', (data) => {
      log += data
    })
    await eventually('it serves or its port is taken', () => /"serving"|cannot listen on/.test(log), 30)
    agent.kill('SIGTERM')
    await result
    const [first, second] = messages(log)
    assert.match(
      first ?? '',
      /^no configuration file: development defaults are used \(loopback only, embedded store in /,
    )
    assert.match(second ?? '', /^run_as is self: functions run as the agent's own user/)
    assert.equal(existsSync(join(cwd, '.flux-agent', 'store')), true)
    assert.equal(statSync(join(cwd, '.flux-agent')).mode & 0o777, 0o700)
    const serving = log.split('\n').find((line) => line.includes('"serving"'))
    if (serving) assert.equal(JSON.parse(serving).host, '127.0.0.1')
  })

  it('closes what it has opened where a worker cannot be loaded', async () => {
    const preload = join(makeTempDir('flux-start-'), 'preload.cjs')
    writeFileSync(preload, "if (!require('node:worker_threads').isMainThread) throw new Error('as meant')")
    const { code, stderr } = await runCli(['start', '--config', configured({})], {
      env: { NODE_OPTIONS: `--require ${preload}` },
    })
    assert.equal(code, 1)
    assert.deepEqual(messages(stderr, ERROR), ['cannot start: as meant'])
    assert.equal(messages(stderr).filter((line) => line.startsWith('not everything')).length, 0, stderr)
  })

  it('says why where a worker cannot open the store', async () => {
    const preload = join(makeTempDir('flux-start-'), 'preload.cjs')
    const lmdb = JSON.stringify(createRequire(import.meta.url).resolve('lmdb'))
    const failing = `require(${lmdb}).open = () => { throw new Error('as meant') }`
    writeFileSync(preload, `if (!require('node:worker_threads').isMainThread) ${failing}`)
    const { code, stderr } = await runCli(['start', '--config', configured({})], {
      env: { NODE_OPTIONS: `--require ${preload}` },
    })
    assert.equal(code, 1, stderr)
    // Lines of the other worker and of its launcher may come after that.
    const said = messages(stderr, ERROR).filter((line) => line.startsWith('cannot start'))
    assert.equal(said.length, 1, stderr)
    assert.match(said[0] ?? '', /^cannot start: embedded store in \S+: as meant$/)
  })

  it('that is stopped in the middle of a transaction of the embedded store completes that, and ends', async () => {
    const env = inTransaction('main', "process.kill(process.pid, 'SIGTERM')")
    const { code, stderr } = await runCli(['start', '--config', configured({})], env)
    assert.equal(code, 0, stderr)
    assert.equal(messages(stderr).at(-1), 'stopped before it served')
  })

  it('that meets a defect in the middle of a transaction of the embedded store says so, and ends', async () => {
    const env = inTransaction('main', "setTimeout(() => { throw new Error('as meant') })")
    const begun = performance.now()
    const { stderr } = await runCli(['start', '--config', configured({})], env)
    assert.ok(performance.now() - begun < HANGS_MS)
    assert.deepEqual(messages(stderr, ERROR), ['a defect ends the agent'])
  })

  it('has as many threads on 64 cores as on four', onLinux, async (t) => {
    const preload = join(makeTempDir('flux-start-'), 'preload.cjs')
    const threadsOn = async (cores: number) => {
      writeFileSync(
        preload,
        `const os = require('node:os')
        os.availableParallelism = () => ${cores}
        require('node:module').syncBuiltinESMExports()`,
      )
      const agent = await startTestAgent({
        config: { workers: undefined },
        env: { NODE_OPTIONS: `--require ${preload}` },
      })
      t.after(agent.kill)
      return [readdirSync(`/proc/${agent.pid}/task`).length, launchersOf(agent.pid).length]
    }
    const [[threads, launchers], [expected]] = [await threadsOn(64), await threadsOn(4)]
    assert.equal(launchers, 4)
    assert.equal(threads, expected)
  })

  it('says what it waits for while Redis is away, and ends at once when it is told to', async () => {
    const port = await freePort()
    const { process: agent, result } = startCli(['start', '--config', configured({ redis_addr: `127.0.0.1:${port}` })])
    let log = ''
    agent.stderr?.on('data', (data) => {
      log += data
    })
    await eventually('it says so', () => log.includes('waiting for the store'), 15)
    const line = JSON.parse(log.split('\n').find((candidate) => candidate.includes('waiting for the store')) ?? '')
    assert.match(line.store, new RegExp(`127\\.0\\.0\\.1:${port}`))
    assert.match(line.cause, /ECONNREFUSED/)
    const told = performance.now()
    agent.kill('SIGTERM')
    await result
    assert.ok(performance.now() - told < 5_000, `${performance.now() - told} ms`)
  })

  it('serves as soon as Redis is there', { skip: noRedis }, async (t) => {
    const redis = await RedisServer.start()
    await redis.halt()
    const starting = startTestAgent({ config: { redis_addr: redis.address } })
    await redis.restart()
    const agent = await starting
    t.after(async () => {
      await agent.stop()
      await redis.stop()
    })
    assert.equal((await new Calls(agent.client).health()).healthy, true)
  })
})
