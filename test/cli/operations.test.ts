import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { isRunning } from '../../harness/processes.js'
import { runCli, startCli } from '../support/cli.js'
import { makeTool } from './tool.js'

let agent: TestAgent
let env: NodeJS.ProcessEnv
let dir: string

before(async () => {
  agent = await startTestAgent({ config: { max_tasks: 7 } })
  env = { FLUX_AGENT_ADDRESS: `127.0.0.1:${agent.port}` }
  dir = makeTempDir('flux-agent-operations-')
  const { code, stderr } = await run('deploy', 'tool', makeTool())
  assert.equal(code, 0, stderr)
})
after(() => agent.stop())

const run = (...args: string[]) => runCli(args, { env })

async function begin(...args: string[]): Promise<string> {
  const id = randomUUID()
  const { code, stderr } = await run('exec', '--async', '--id', id, 'tool', ...args)
  assert.equal(code, 0, stderr)
  return id
}

test('logs of an ended execution are its output, byte for byte', async () => {
  const id = await begin('say-and-await', '\\377\\000\\r\\n', dir)
  await run('logs', '--follow', id)
  const { code, stdout } = await run('logs', id)
  assert.equal(code, 0)
  assert.deepEqual(stdout, Buffer.from('\xff\0\r\nend\n', 'latin1'))
})

test('logs of a running execution end where its output does now; --follow stays for the rest', async () => {
  const gate = join(dir, 'gate')
  const id = await begin('say-and-await', 'a\\377b ', gate)
  const now = Buffer.from('a\xffb ', 'latin1')
  await eventually('its first output', async () => {
    const { code, stdout } = await run('logs', id)
    assert.equal(code, 0)
    return stdout.equals(now)
  })
  const following = startCli(['logs', '--follow', id], { env })
  await new Promise((resolve) => following.process.stdout?.once('readable', resolve))
  writeFileSync(gate, '')
  const { code, stdout } = await following.result
  assert.equal(code, 0)
  assert.deepEqual(stdout, Buffer.concat([now, Buffer.from('end\n')]))
})

test('logs --follow says why an execution did not end by itself', async () => {
  const id = await begin('forever')
  const following = startCli(['logs', '--follow', id], { env })
  await new Promise((resolve) => following.process.stdout?.once('readable', resolve))
  await run('cancel', id)
  assert.equal((await following.result).stderr, 'flux-agent: execution cancelled\n')
})

test('logs --json is the record with its output', async () => {
  const id = await begin('args', 'x')
  await run('logs', '--follow', id)
  const record = JSON.parse((await run('logs', '--json', id)).stdout.toString())
  assert.equal(record.execution_id, id)
  assert.equal(record.status, 'success')
  assert.equal(record.output, '[x]\n')
})

test('an unknown execution is said to be one', async () => {
  for (const args of [
    ['logs', 'unknown'],
    ['logs', '--follow', 'unknown'],
  ]) {
    const { code, stderr } = await run(...args)
    assert.equal(code, 1)
    assert.match(stderr, /^flux-agent: no execution unknown here[^\n]*\n$/)
  }
})

test('ps lists what runs, cancel ends it with its children', async () => {
  const id = await begin('forever')
  const pids = await eventually('its pids', async () => {
    const output = (await run('logs', id)).stdout.toString()
    return output.endsWith('\n') ? output.trim().split(' ').map(Number) : undefined
  })
  const { stdout } = await run('ps')
  assert.match(stdout.toString(), /^ID +FUNCTION +STATE +AGE +PID +CPU +MEMORY\n/)
  const row = new RegExp(`^${id}  tool +running +\\d+s +(${pids[0]}) +\\d+\\.\\d% +\\d+(\\.\\d)? [KM]?i?B$`, 'm')
  assert.match(stdout.toString(), row)
  const list = JSON.parse((await run('ps', '--json')).stdout.toString())
  const listed = list.executions.find((execution: { execution_id: string }) => execution.execution_id === id)
  assert.equal(listed.usage.pid, pids[0])

  const cancelled = await run('cancel', id)
  assert.deepEqual([cancelled.code, cancelled.stdout.toString()], [0, `cancelled ${id}\n`])
  await eventually('all are gone', () => !pids.some(isRunning))
  assert.doesNotMatch((await run('ps')).stdout.toString(), new RegExp(id))
})

test('a second cancel fails and says why', async () => {
  const id = await begin('forever')
  await run('cancel', id)
  const again = await run('cancel', id)
  assert.equal(again.code, 1)
  assert.equal(again.stderr, 'flux-agent: execution not found or already completed\n')
  const json = await run('cancel', '--json', id)
  assert.equal(json.code, 1)
  assert.equal(JSON.parse(json.stdout.toString()).success, false)
})

test('status shows the agent and its node', async () => {
  const { code, stdout } = await run('status')
  assert.equal(code, 0)
  assert.match(stdout.toString(), /^agent: +test-agent, version \S+, healthy\nup: +[\dms ]+\nexecutions: \d \(of 7\)\n/)
  const json = JSON.parse((await run('status', '--json')).stdout.toString())
  assert.equal(json.agent_id, 'test-agent')
  assert.equal(json.healthy, true)
  assert.ok(json.memory_total_mb > 0)
})
