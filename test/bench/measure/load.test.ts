import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Load, type Pace, runLoad } from '../../../bench/measure/load.js'
import {
  executions,
  HEALTH_CHECK,
  type LoadRequest,
  numberedDeployments,
  numberedExecutions,
  numberedId,
  numberedRegistrations,
} from '../../../bench/measure/requests.js'
import type { Target } from '../../../bench/targets/target.js'
import { makeTempDir, startTestAgent, type TestAgent } from '../../../harness/agent.js'
import { Calls } from '../../../harness/calls.js'
import { makeCertificates, writeAgentFiles } from '../../../harness/certificates.js'
import { buildZip, PROGRAM } from '../../../harness/zip.js'
import { tlsCredentials } from '../../../src/cli/connect.js'
import { noLoadClient } from '../../support/load-client.js'

const ONCE: Pace = { kind: 'counted', inFlight: 1, callsEach: 1 }

describe('load client', { skip: noLoadClient }, () => {
  let agent: TestAgent
  let calls: Calls
  let target: Target

  before(async () => {
    agent = await startTestAgent()
    calls = new Calls(agent.client)
    target = { label: 'agent', host: '127.0.0.1', port: agent.port }
    await calls.script('hello', 'echo hello')
    await calls.script('large', 'head -c 3000000 /dev/zero')
    await calls.script('fails', 'exit 3')
  })
  after(() => agent.stop())

  const execute = (name: string, outputBytes: number, pace: Pace = ONCE) =>
    runLoad({ ...executions({ function_name: name }), target, outputBytes, pace })

  it('makes as many calls as it is told, with a latency for each', async () => {
    const load = execute('hello', 6, { kind: 'counted', inFlight: 4, callsEach: 25 })
    const { calls, latencies, seconds, clientCpuMs } = await load.result
    assert.equal(calls, 100)
    assert.equal(latencies.totalCount, 100)
    assert.ok(latencies.maxValue / 1e6 <= seconds * 1.001, `${latencies.maxValue} µs within ${seconds} s`)
    assert.ok(clientCpuMs > 0 && clientCpuMs < 10, `${clientCpuMs} ms of processor time for a call`)
  })

  it('gives each registration and deploy a name of its own', async () => {
    const pace: Pace = { kind: 'counted', inFlight: 2, callsEach: 5 }
    const archive = buildZip([{ name: 'main.sh', contents: '#!/bin/sh\necho $0\n', mode: PROGRAM }])
    const made = (call: LoadRequest) => runLoad({ ...call, target, pace }).result
    await made(numberedRegistrations({ name: '', handler: 'main.sh' }, 'many-'))
    await made(numberedDeployments(archive, 'many-'))
    for (const number of [0, 9]) {
      const { error } = await calls.execute({ function_name: numberedId('many-', number) })
      assert.equal(error, '')
    }
    const { error } = await calls.execute({ function_name: numberedId('many-', 10) })
    assert.match(error, /not found/)
  })

  it('fails where a registration or deploy is refused', async () => {
    const { result } = runLoad({
      ...numberedRegistrations({ name: '', handler: '../main' }, 'no-'),
      target,
      pace: ONCE,
    })
    await assert.rejects(result, /RegisterFunction was refused: .*handler "\.\.\/main" is not allowed/)
  })

  it('calls until the time is over', async () => {
    const { calls, seconds } = await execute('hello', 6, { kind: 'closed', inFlight: 2, durationMs: 200 }).result
    assert.ok(calls > 0)
    assert.ok(seconds >= 0.2, `${seconds} s`)
  })

  it('counts from the time a call was due on, answered or not', async () => {
    const load = runLoad({ ...HEALTH_CHECK, target, pace: { kind: 'every', intervalMs: 5 } })
    await sleep(200)
    process.kill(agent.pid, 'SIGSTOP')
    await sleep(300)
    process.kill(agent.pid, 'SIGCONT')
    const { calls, seconds, latencies } = await load.stop()
    assert.equal(latencies.totalCount, calls)
    // 300 ms alone are 60 calls; after the stop there are none.
    assert.ok(calls >= 60 && calls <= seconds / 0.005 + 1, `${calls} calls in ${seconds} s`)
    // One that waits for each answer would have a single one that is late.
    const late = latencies.getValueAtPercentile(100 * (1 - 20 / calls))
    assert.ok(late >= 50_000, `all but 20 of ${calls} calls took ${late} µs at the most`)
  })

  it('waits for the call under way when it is stopped, without keeping a core busy', async () => {
    await calls.script('slow', 'sleep 0.5; echo hello')
    const load = execute('slow', 6, { kind: 'closed', inFlight: 1, durationMs: 60_000 })
    await sleep(200)
    const { calls: made, clientCpuMs } = await load.stop()
    assert.equal(made, 1)
    assert.ok(clientCpuMs < 50, `${clientCpuMs} ms of processor time`)
  })

  it('gives each execution an id of its own', async () => {
    const request = numberedExecutions({ function_name: 'hello', async: true }, 'load-')
    const pace: Pace = { kind: 'counted', inFlight: 2, callsEach: 3 }
    await runLoad({ ...request, target, outputBytes: 0, pace }).result
    for (let i = 0; i < 6; i++) assert.equal((await calls.ended(numberedId('load-', i))).status, 'success')
    assert.equal((await calls.get(numberedId('load-', 6))).found, false)
  })

  it('calls again what is refused at capacity, where it is told to', async () => {
    await calls.script('single', 'sleep 0.05', { max_concurrency: 1, max_concurrency_behavior: 'exit' })
    const request = numberedExecutions({ function_name: 'single', async: true }, 'single-')
    const load: Load = { ...request, target, outputBytes: 0, pace: { kind: 'counted', inFlight: 2, callsEach: 2 } }
    await assert.rejects(runLoad(load).result, /function single at capacity/)
    await calls.ended(numberedId('single-', 0))
    const again = numberedExecutions({ function_name: 'single', async: true }, 'again-')
    assert.equal((await runLoad({ ...load, ...again, repeatRefused: true }).result).calls, 4)
    for (let i = 0; i < 4; i++) assert.equal((await calls.ended(numberedId('again-', i))).status, 'success')
  })

  it('takes answers of many frames', async () => {
    assert.equal((await execute('large', 3_000_000).result).calls, 1)
  })

  it('fails by an output of another length', async () => {
    await assert.rejects(execute('hello', 7).result, /agent: an execution has 6 bytes of output, not 7/)
  })

  it('fails by an execution that failed', async () => {
    await assert.rejects(execute('fails', 0).result, /an execution has failed: exit code 3/)
  })

  it('fails by a gRPC status', async () => {
    const load = runLoad({ path: '/flux.AgentService/Unknown', request: Buffer.alloc(0), target, pace: ONCE })
    await assert.rejects(load.result, /gRPC status 12/)
  })

  it('fails where nothing answers', async () => {
    const load = runLoad({ ...HEALTH_CHECK, target: { ...target, port: 1 }, pace: ONCE })
    await assert.rejects(load.result, /nothing answers at 127.0.0.1:1: Connection refused/)
  })
})

describe('load client with mTLS', { skip: noLoadClient }, () => {
  it('calls with the certificate of the control plane, and fails with that of another authority', async () => {
    const { authority, agent: ofAgent, flux, rogue } = await makeCertificates()
    const dir = makeTempDir('flux-load-')
    const own = writeAgentFiles(join(dir, 'agent'), authority, ofAgent)
    const client = writeAgentFiles(join(dir, 'flux'), authority, flux)
    const other = writeAgentFiles(join(dir, 'rogue'), authority, rogue)
    const agent = await startTestAgent({
      config: { tls: { enabled: true, ca_cert: own.caCert, cert_file: own.certFile, key_file: own.keyFile } },
      credentials: tlsCredentials(client),
    })
    const load = ({ caCert, certFile, keyFile }: typeof own) => {
      const tls = { ca: caCert, cert: certFile, key: keyFile }
      const target = { label: 'agent', host: '127.0.0.1', port: agent.port, tls }
      return runLoad({ ...executions({ function_name: 'large' }), target, outputBytes: 3_000_000, pace: ONCE }).result
    }
    try {
      await new Calls(agent.client).script('large', 'head -c 3000000 /dev/zero')
      assert.equal((await load(client)).calls, 1)
      await assert.rejects(load(other), /agent: .*TLS/)
    } finally {
      await agent.stop()
    }
  })
})
