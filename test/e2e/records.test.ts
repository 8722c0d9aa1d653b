import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, it } from 'node:test'
import { Redis } from 'ioredis'
import { eventually } from '../../harness/eventually.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { type AgentSuiteOptions, describeAgent } from '../support/describe-agent.js'
import { awaitGate, deployWithFiles, Gate } from '../support/scripts.js'

const BLOCK_BYTES = 65_536
const BINARY = randomBytes(10_000_000)

/** As another kind of agent has stored it, in keys of its own language. */
const UPSTREAM = JSON.stringify({
  Name: 'taken-over',
  Handler: 'bin/run.sh',
  Resources: { CPU: 250, Memory: 0 },
  Timeout: 1,
  MaxConcurrency: 1,
  MaxConcurrencyBehavior: 'exit',
  Env: { GREETING: 'from upstream' },
})

const FOUND = { 'agent:function:taken-over': UPSTREAM, 'agent:function:broken': '{"Handler": 7}' }
const options: AgentSuiteOptions<'redis'> = {
  store: 'redis',
  config: { workers: 1 },
  beforeStart: (redis) => redis.with((first) => first.mset(FOUND)),
}

describeAgent('What Redis holds', options, ({ agent, calls, redis }) => {
  let client: Redis

  before(async () => {
    await deployWithFiles(calls, 'binary', `cat binary; ${awaitGate(1)}; exit 4`, { binary: BINARY })
    client = new Redis(redis.port)
  })
  after(() => client.disconnect())

  it('is a record with a lease and the output so far while it runs, and both for an hour after the end', async () => {
    const gate = new Gate()
    const id = await calls.start('binary', [gate.path])
    await eventually(
      'the output is stored',
      async () => (await client.strlen(`flux:exec-output:${id}`)) === BINARY.length,
    )
    const running = JSON.parse((await client.get(`flux:exec:${id}`)) ?? '')
    const { started_at, ...rest } = running
    assert.deepEqual(rest, { execution_id: id, agent_id: 'test-agent', function_name: 'binary', status: 'running' })
    assert.match(started_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
    const ttls = async () => Promise.all([client.ttl(`flux:exec:${id}`), client.ttl(`flux:exec-output:${id}`)])
    for (const ttl of await ttls()) assert.ok(ttl > 3500 && ttl <= 3600, `lease of ${ttl} s`)

    gate.open()
    const ended = await eventually('the end is stored', async () => {
      const record = JSON.parse((await client.get(`flux:exec:${id}`)) ?? '')
      return record.status === 'running' ? undefined : record
    })
    assert.deepEqual([ended.status, ended.error, ended.exit_code], ['failed', 'exit code 4', 4])
    assert.ok(Number.isInteger(ended.duration_ms) && ended.status_at > ended.started_at)
    assert.ok((await client.getBuffer(`flux:exec-output:${id}`))?.equals(BINARY), 'not byte for byte')
    for (const ttl of await ttls()) assert.ok(ttl > 3590 && ttl <= 3600, `expires in ${ttl} s`)
  })

  it('costs at most 300 bytes a batch beyond the output', async () => {
    const received = async () => Number((await client.info('stats')).match(/total_net_input_bytes:(\d+)/)?.[1])
    const open = new Gate()
    open.open()
    const before = await received()
    const begun = performance.now()
    const id = await calls.start('binary', [open.path])
    await calls.ended(id)
    const batches = Math.ceil(BINARY.length / BLOCK_BYTES) + Math.ceil((performance.now() - begun) / 50)
    const cost = (await received()) - before - BINARY.length
    assert.ok(cost < 300 * batches, `${cost} bytes beyond the output, at most ${batches} batches`)
  })

  it('is written once', async () => {
    await calls.script('ticks', 'for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; sleep 0.1; done')
    await client.config('RESETSTAT')
    await calls.ended(await calls.start('ticks'))
    const stats = await client.info('commandstats')
    const setrange = Number(/cmdstat_setrange:calls=(\d+)/.exec(stats)?.[1])
    assert.ok(setrange >= 1 && setrange <= 11, `${setrange} writes of 10 lines`)
  })

  it('has output at most 100 ms old', async () => {
    await calls.script('clock', 'for i in 1 2 3 4 5 6 7 8 9 10 11; do date +%s%N; sleep 0.1; done; sleep 600')
    const rounds: number[][] = []
    const isPrompt = (ages: readonly number[]) => (ages[5] as number) < 100 && (ages[10] as number) < 400
    // Neighbours on the machine may hold up one round, but hardly each.
    while (!rounds.some(isPrompt) && rounds.length < 5) {
      const id = await calls.start('clock')
      const ages: number[] = []
      let seen = 0
      while (ages.length < 11) {
        const output = (await client.getrange(`flux:exec-output:${id}`, seen, -1)).split('\n')
        for (const line of output.slice(0, -1)) {
          seen += line.length + 1
          ages.push(Date.now() - Number(line) / 1e6)
        }
      }
      await calls.cancel(id)
      rounds.push(ages.sort((a, b) => a - b))
    }
    assert.ok(rounds.some(isPrompt), `ages ${rounds.map((ages) => ages.map(Math.round).join()).join('; ')} ms`)
  })

  it('are functions in the JSON of other agents, written and read', async () => {
    await calls.script('ours', 'echo hi', {
      timeout_seconds: 9,
      max_concurrency: 3,
      env: { A: 'b' },
      cpu_millicores: 500,
    })
    assert.deepEqual(JSON.parse((await client.get('agent:function:ours')) ?? ''), {
      Name: 'ours',
      Handler: 'main.sh',
      Resources: { CPU: 500, Memory: 0 },
      Timeout: 9,
      MaxConcurrency: 3,
      MaxConcurrencyBehavior: 'exit',
      Env: { A: 'b' },
    })
    assert.equal(await client.ttl('agent:function:ours'), -1)

    const contents = '#!/bin/sh\necho "$GREETING"; sleep 600\n'
    const ack = await calls.deploy('taken-over', buildZip([{ name: 'bin/run.sh', contents, mode: PROGRAM }]))
    assert.equal(ack.success, true, ack.message)
    const { output, error } = await calls.execute({ function_name: 'taken-over' })
    assert.deepEqual([output.toString(), error], ['from upstream\n', 'execution timed out after 1s'])
    assert.match(agent.logs(), /"function":"broken".*not readable/)
  })

  it('is nothing of a sync execution', async () => {
    const before = await client.dbsize()
    const open = new Gate()
    open.open()
    const { output } = await calls.execute({ function_name: 'binary', args: [open.path], execution_id: 'sync' })
    assert.ok(output.equals(BINARY))
    assert.equal(await client.dbsize(), before)
  })
})
