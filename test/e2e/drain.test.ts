import assert from 'node:assert/strict'
import { mkdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { noLauncher } from '../../harness/launchers.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { answer } from '../../src/cli/connection.js'
import type { DrainResponse__Output } from '../../src/generated/flux/operations/DrainResponse.js'
import type { ResumeResponse__Output } from '../../src/generated/flux/operations/ResumeResponse.js'
import { runCli, startCli } from '../support/cli.js'
import { describeAgent } from '../support/describe-agent.js'
import { callSync } from '../support/live-calls.js'
import { METRICS_ON, metricsUrl, scrape } from '../support/metrics.js'
import { awaitGate, Gate } from '../support/scripts.js'

const AT_CAPACITY = 'function one at capacity: its agent is draining'

describeAgent('a drain by an operator', { config: METRICS_ON }, ({ agent, calls }) => {
  const run = (...args: string[]) => runCli(args, { env: { FLUX_AGENT_ADDRESS: `127.0.0.1:${agent.port}` } })

  async function done(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await run(...args)
    assert.equal(code, 0, stderr)
    return stdout.toString()
  }

  before(async () => {
    const one = { max_concurrency: 1, max_concurrency_behavior: 'wait' }
    await calls.script('one', `echo ready; ${awaitGate(1)}; echo done`, one)
  })
  // By the command where that is the case; it costs a process.
  const drain = () => answer<DrainResponse__Output>((call, ended) => agent.operations.drain({}, call, ended))
  const resume = () => answer<ResumeResponse__Output>((call, ended) => agent.operations.resume({}, call, ended))
  afterEach(async () => {
    assert.equal((await resume()).success, true)
  })

  it('lets what runs and what waits go on, and answers the rest as at capacity', async () => {
    const gate = new Gate()
    const running = callSync(agent.client, { function_name: 'one', args: [gate.path] })
    await calls.printed(running.id, 'ready')
    const waits = await calls.start('one', [gate.path])

    assert.match(await done('drain'), /^draining since 20\S+Z: 1 executions running, 1 waiting\n$/)
    const probe = await fetch(`${metricsUrl(agent)}readyz`)
    assert.equal(probe.status, 503)
    assert.match(await probe.text(), /^not ready: draining: by an operator, since 20\S+Z; flux-agent resume ends it\n$/)
    const states = await scrape(agent)
    assert.equal(states.get('flux_agent_state{state="draining"}'), 1)
    assert.equal(states.get('flux_agent_state{state="serving"}'), 0)
    const refused = await calls.execute({ function_name: 'one', args: [gate.path] })
    assert.equal(refused.error, AT_CAPACITY)
    const request = { function_name: 'one', execution_id: 'refused', async: true }
    assert.equal((await calls.execute(request)).error, AT_CAPACITY)
    assert.equal((await calls.ended('refused')).error, AT_CAPACITY)
    assert.equal((await calls.execute({ function_name: 'unknown' })).error, 'function not found')
    const archive = buildZip([{ name: 'main.sh', contents: '#!/bin/sh\n', mode: PROGRAM }])
    assert.equal((await calls.register({ name: 'other', handler: 'main.sh' })).success, true)
    assert.equal((await calls.deploy('other', archive)).success, true)

    gate.open()
    const outcome = await running.outcome
    assert.ok('output' in outcome && outcome.output.toString() === 'ready\ndone\n', JSON.stringify(outcome))
    assert.equal((await calls.ended(waits)).status, 'success')
    await resume()
    assert.equal((await calls.execute({ function_name: 'other' })).error, '')
  })

  it('is shown, and the control plane, which prefers the node with most headroom, finds none', async () => {
    await drain()
    const { code, stdout } = await run('status')
    assert.equal(code, 1)
    assert.match(stdout.toString(), /^agent: .*, draining\ndrained: +since 20\S+Z: takes no new executions until /)
    const health = await calls.health()
    assert.deepEqual([health.healthy, health.state], [false, 'draining'])
    const doctor = await runCli(['doctor', '--config', agent.configFile])
    assert.match(doctor.stdout.toString(), /^warn +drain +drained since 20\S+Z: no new executions are taken; /m)
    const status = await calls.status()
    assert.deepEqual([status.cpu_percent, status.memory_percent], [100, 100])
    assert.equal(status.memory_used_mb, status.memory_total_mb)
    assert.equal(await done('resume'), 'resumed\n')
    const after = await calls.health()
    assert.deepEqual([after.healthy, after.state, after.drained_since], [true, 'serving', ''])
    assert.ok((await calls.status()).memory_used_mb < status.memory_total_mb)
    assert.equal((await resume()).message, 'was not drained')
  })

  it('is waited for until nothing runs and nothing waits', async () => {
    const gate = new Gate()
    const ids = [await calls.start('one', [gate.path]), await calls.start('one', [gate.path])]
    const waiting = startCli(['drain', '--wait', '--config', agent.configFile, '--address', `127.0.0.1:${agent.port}`])
    let ended = false
    void waiting.result.then(() => {
      ended = true
    })
    await eventually('it drains', async () => (await calls.health()).state === 'draining')
    assert.equal(ended, false)
    gate.open()
    const { code, stdout, stderr } = await waiting.result
    assert.equal(code, 0, stderr)
    assert.match(stdout.toString(), /^draining since .*\nnothing runs any more\n$/)
    for (const id of ids) assert.equal((await calls.record(id)).status, 'success')
  })

  it('is not waited for once it has been ended', async () => {
    const gate = new Gate()
    const id = await calls.start('one', [gate.path])
    const waiting = startCli(['drain', '--wait', '--address', `127.0.0.1:${agent.port}`])
    await new Promise((resolve) => waiting.process.stdout?.once('readable', resolve))
    await resume()
    const { code, stderr } = await waiting.result
    assert.deepEqual([code, stderr], [1, 'flux-agent: the agent has been resumed meanwhile\n'])
    gate.open()
    await calls.ended(id)
  })

  it('is kept over a restart and a crash', async () => {
    await drain()
    const { drained_since: since } = await calls.health()
    for (const end of [() => agent.stop(), () => agent.kill()]) {
      await end()
      await agent.start()
      const health = await calls.health()
      assert.equal(health.state, 'draining')
      assert.ok(Math.abs(Date.parse(health.drained_since) - Date.parse(since)) < 1_000, health.drained_since)
      assert.equal((await calls.execute({ function_name: 'one' })).error, AT_CAPACITY)
      assert.match(agent.logs(), /drained since an earlier run/)
    }
    await resume()
    await agent.restart()
    assert.equal((await calls.health()).state, 'serving')
  })

  it('is kept over a handover, and what runs goes on', { skip: noLauncher }, async () => {
    const gate = new Gate()
    const id = await calls.start('one', [gate.path])
    await calls.printed(id, 'ready')
    await drain()
    await done('handover', '--config', agent.configFile)
    await agent.start()
    assert.equal((await calls.execute({ function_name: 'one' })).error, AT_CAPACITY)
    const waiting = startCli(['drain', '--wait', '--address', `127.0.0.1:${agent.port}`])
    await new Promise((resolve) => waiting.process.stdout?.once('readable', resolve))
    gate.open()
    assert.equal((await waiting.result).code, 0)
    assert.equal((await calls.ended(id)).output, 'ready\ndone\n')
  })

  it('does not begin where it cannot be kept', async () => {
    const file = join(agent.dir, 'state', 'drained')
    mkdirSync(file)
    const { code, stderr } = await run('drain')
    rmdirSync(file)
    assert.equal(code, 1)
    assert.match(stderr, /^flux-agent: not drained: .*drained.*\n$/)
    assert.equal((await calls.health()).state, 'serving')
  })
})
