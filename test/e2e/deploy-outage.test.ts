import assert from 'node:assert/strict'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { credentials } from '@grpc/grpc-js'
import { Redis } from 'ioredis'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { FunctionConfig } from '../../src/generated/flux/FunctionConfig.js'
import { appsOf, versionsOf } from '../support/apps.js'
import { clientsTo } from '../support/flux-client.js'
import { onEachRedis } from '../support/stores.js'

const KILLS = process.env['CI'] ? 8 : 2
const skip = process.platform === 'win32' ? 'not on Windows' : false

onEachRedis('deploys and registrations, whatever comes in between', { skip }, (redis) => {
  let agent: TestAgent
  let calls: Calls
  /** Of each case another function. */
  let name: string
  let cases = 0

  before(() => begin())
  beforeEach(() => {
    name = `f${++cases}`
  })
  afterEach(() => redis.resume())
  after(() => agent.stop())

  async function begin(dir?: string): Promise<void> {
    agent = await startTestAgent({ config: { redis_addr: redis.address }, ...(dir !== undefined && { dir }) })
    calls = new Calls(agent.client)
  }

  async function restart(): Promise<void> {
    await agent.stop()
    redis.resume()
    await begin(agent.dir)
  }

  /** Code that prints its number and the setting of the function. */
  const code = (number: number, handler = 'main.sh') =>
    buildZip([{ name: handler, contents: `#!/bin/sh\necho ${number} $SETTING\n`, mode: PROGRAM }])
  const config = (SETTING: string, handler = 'main.sh'): FunctionConfig => ({ name, handler, env: { SETTING } })

  async function deployed(number: number, brought?: FunctionConfig): Promise<void> {
    const handler = brought?.handler ?? 'main.sh'
    assert.deepEqual(await calls.deploy(name, code(number, handler), brought), {
      success: true,
      message: 'function deployed',
    })
  }

  async function prints(text: string): Promise<void> {
    const { output, error } = await calls.execute({ function_name: name })
    assert.deepEqual([output.toString(), error], [`${text}\n`, ''])
  }

  const stored = async () => {
    const key = `agent:function:${name}`
    return (await redis.primaryOf(key)).with((client) => client.get(key))
  }
  const storedSetting = async () => JSON.parse((await stored()) ?? '{}').Env?.SETTING

  async function refusedWhilePaused(brought: FunctionConfig): Promise<void> {
    redis.pause()
    const { success, message } = await calls.deploy(name, code(2, brought.handler ?? ''), brought)
    assert.equal(success, false)
    assert.ok(message.startsWith(`code unpacked, but function ${name} not registered: Redis at `), message)
  }

  it('leaves no trace of a deploy that was refused, though Redis carries out what it was sent', async () => {
    await deployed(1, config('old'))
    const before = versionsOf(agent, name)
    await refusedWhilePaused(config('new', 'other.sh'))
    assert.deepEqual(versionsOf(agent, name), before)
    await prints('1 old')
    // What it has been sent comes before anything that is asked now.
    redis.resume()
    await eventually('the old settings are stored', async () => (await storedSetting()) === 'old')
    await eventually(
      'a later deploy is taken',
      async () => (await calls.deploy(name, code(3), config('newer'))).success,
    )
    await prints('3 newer')
    await restart()
    await prints('3 newer')
  })

  it('takes back at the next start what was refused before the agent was stopped', async () => {
    await deployed(1, config('old'))
    await refusedWhilePaused(config('new', 'other.sh'))
    await restart()
    await prints('1 old')
    assert.equal(await storedSetting(), 'old')
    assert.equal(versionsOf(agent, name).length, 1)
  })

  it('leaves nothing of a first deploy that was refused', async () => {
    await refusedWhilePaused(config('new'))
    assert.equal((await calls.execute({ function_name: name })).error, 'function not found')
    await restart()
    assert.equal((await calls.execute({ function_name: name })).error, 'function not found')
    assert.equal(await stored(), null)
    assert.deepEqual(versionsOf(agent, name), [])
  })

  it('takes back a registration that was refused', async () => {
    await deployed(1, config('old'))
    redis.pause()
    const ack = await calls.register(config('new', 'other.sh'))
    assert.equal(ack.success, false)
    assert.ok(ack.message.startsWith(`function ${name} not registered: Redis at `), ack.message)
    const again = await calls.register(config('newer'))
    assert.equal(again.success, false)
    assert.match(again.message, /Redis at /)
    redis.resume()
    await eventually('the old settings are stored', async () => (await storedSetting()) === 'old')
    await prints('1 old')
    await restart()
    await prints('1 old')
  })

  it('has the last of several deploys and registrations serve, also where one waits for Redis', async () => {
    await deployed(1, config('one'))
    redis.pause()
    const answers = [
      calls.deploy(name, code(2), config('two')),
      calls.deploy(name, code(3)),
      calls.register(config('three')),
      calls.deploy(name, code(4)),
    ]
    await sleep(500)
    redis.resume()
    assert.deepEqual(
      (await Promise.all(answers)).map(({ success }) => success),
      [true, true, true, true],
    )
    await prints('4 three')
    assert.equal(await storedSetting(), 'three')
    await restart()
    await prints('4 three')
  })

  it('lets no other function wait', async () => {
    await deployed(1, config('one'))
    await calls.script('other', 'echo old')
    redis.pause()
    const held = calls.deploy(name, code(2), config('two'))
    const begun = performance.now()
    const archive = buildZip([{ name: 'main.sh', contents: '#!/bin/sh\necho new\n', mode: PROGRAM }])
    assert.equal((await calls.deploy('other', archive)).success, true)
    assert.ok(performance.now() - begun < 1_800, 'it has waited')
    redis.resume()
    assert.equal((await calls.execute({ function_name: 'other' })).output.toString(), 'new\n')
    assert.equal((await held).success, true)
  })

  it('drops what waits for its turn once its caller has gone', async () => {
    const logged = agent.logs().length
    await deployed(1, config('one'))
    redis.pause()
    const first = calls.register(config('two'))
    const second = new Promise((resolve) => {
      const request = { function_name: name, code_archive: code(2) }
      const call = agent.client.deployFunction(request, (error) => resolve(error?.code))
      void calls.health().then(() => call.cancel())
    })
    assert.equal(await second, 1)
    // On the same connection: by its answer the agent has seen the cancel.
    await calls.health()
    redis.resume()
    assert.equal((await first).success, true)
    await deployed(3)
    await prints('3 two')
    const log = agent.logs().slice(logged)
    assert.ok(!log.includes('call failed'), log)
  })

  it('answers in time what would wait for its turn until its caller has gone', async () => {
    await deployed(1, config('one'))
    redis.pause()
    const first = calls.register(config('two'))
    const answer = new Promise<{ success: boolean; message: string }>((resolve, reject) => {
      const options = { deadline: Date.now() + 1_900 }
      agent.client.registerFunction(config('three'), options, (error, ack) => (ack ? resolve(ack) : reject(error)))
    })
    const { success, message } = await answer
    assert.deepEqual(
      [success, message],
      [false, `function ${name} not changed: an earlier call for it still runs; try again`],
    )
    redis.resume()
    assert.equal((await first).success, true)
    await deployed(4)
    await prints('4 two')
  })

  it('undoes a registration whose code cannot be put to use', async () => {
    await deployed(1, config('old'))
    const current = join(appsOf(agent), name, 'versions', 'current')
    rmSync(current)
    mkdirSync(join(current, 'in the way'), { recursive: true })
    const { success, message } = await calls.deploy(name, code(2, 'other.sh'), config('new', 'other.sh'))
    assert.equal(success, false)
    assert.ok(message.startsWith(`cannot deploy "${name}": `), message)
    await prints('1 old')
    await eventually('the old settings are stored', async () => (await storedSetting()) === 'old')
    assert.equal(versionsOf(agent, name).length, 1)
  })

  it('is one thing, whole, whenever the agent is killed in the middle of a deploy', async (t) => {
    // As new as the agents of the rounds are.
    await restart()
    const begun = performance.now()
    await deployed(0, config('0'))
    const usualMs = performance.now() - begun
    const client = new Redis((await redis.primaryOf(`agent:function:${name}`)).port)
    t.after(() => client.disconnect())
    const seen: string[] = []
    const kills = redis.servers.length === 1 ? KILLS : 2
    for (let n = 1; n <= kills; n++) {
      const old = (await calls.execute({ function_name: name })).output.toString()
      const handler = n % 2 === 0 ? 'main.sh' : 'other.sh'
      const interrupted = calls.deploy(name, code(n, handler), config(`${n}`, handler)).catch(() => undefined)
      // Every other time as soon as the settings are stored, else from before the first step to after the last.
      if (n % 2 === 0) while (!(await client.get(`agent:function:${name}`))?.includes(`"${n}"`));
      else await sleep((n / kills) * usualMs)
      await agent.kill()
      const answered = await interrupted
      await begin(agent.dir)
      const { output, error } = await calls.execute({ function_name: name })
      const now = output.toString()
      assert.equal(error, '')
      assert.ok(
        now === `${n} ${n}\n` || (now === old && !answered),
        `${old} became ${now}, ${JSON.stringify(answered)}`,
      )
      assert.equal(versionsOf(agent, name).length, 1)
      seen.push(`${now === old ? 'old' : 'new'}${answered ? ', answered' : ''}`)
    }
    t.diagnostic(seen.join('; '))
    assert.ok(seen.some((what) => what.startsWith('new')))
  })

  it('are taken while the agent drains, and count from its next start on', async () => {
    await calls.script('long', 'echo on; sleep 3', {})
    const id = await calls.start('long')
    await calls.printed(id, 'on')
    const stopped = agent.stop()
    await eventually('it drains', () => agent.logs().includes('"msg":"stopping"'))
    const other = clientsTo(agent.port, credentials.createInsecure())
    const ack = await new Calls(other.agent).deploy(name, code(1), config('one')).finally(() => other.close())
    assert.equal(ack.success, true)
    await stopped
    await begin(agent.dir)
    await prints('1 one')
  })
})
