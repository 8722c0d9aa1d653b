import assert from 'node:assert/strict'
import { test } from 'node:test'
import { startTestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { runCli, startCli } from '../support/cli.js'
import { awaitGate, Gate } from '../support/scripts.js'

test('flux-agent stop lets executions end, and is done when the agent is gone', async () => {
  const agent = await startTestAgent({ config: { drain_seconds: 60 } })
  const calls = new Calls(agent.client)
  const gate = new Gate()
  await calls.script('gate', `echo ready; ${awaitGate(1)}; echo done`)
  const id = await calls.start('gate', [gate.path])
  await calls.printed(id, 'ready')

  const stop = startCli(['stop', '--config', agent.configFile])
  await eventually('it is stopping', () => agent.logs().includes('"msg":"stopping"'))
  assert.equal(stop.process.exitCode, null)
  gate.open()
  const { code, stdout, stderr } = await stop.result
  assert.deepEqual([code, stdout.toString(), stderr], [0, `stopped the agent, process ${agent.pid}\n`, ''])
  assert.equal(isRunning(agent.pid), false)
  assert.match(agent.logs(), /"reason":"SIGTERM"/)

  const again = await runCli(['stop', '--config', agent.configFile])
  assert.deepEqual([again.code, again.stderr], [1, `flux-agent: no agent runs in ${agent.dir}/state\n`])
  const next = await startTestAgent({ dir: agent.dir })
  assert.equal((await new Calls(next.client).record(id))?.status, 'success')
  await next.stop()
})
