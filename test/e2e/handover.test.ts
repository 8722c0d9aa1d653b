import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { launchersBelow, noLauncher } from '../../harness/launchers.js'
import { processesWith } from '../../harness/proc.js'
import { isRunning } from '../../harness/processes.js'
import { answer } from '../../src/cli/connection.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { cgroupFolder, findCgroupPlace } from '../../src/os/linux/cgroups.js'
import { runCli } from '../support/cli.js'
import { callSync } from '../support/live-calls.js'
import { Survivors } from '../support/survivors.js'

const SLEEPERS = process.env['CI'] ? 2_000 : 150
/** Lines of each execution that prints; each of them is a process. */
const LINES = process.env['CI'] ? 100 : 40
/** They print until the agent has handed over, however busy the machine is. */
const LINES_SECONDS = 25
/** Alone on this machine 1.4 s for 2,000. */
const LIMIT_MS = 15_000

const statePath = ({ dir }: TestAgent) => join(dir, 'state')
const sockets = (agent: TestAgent) => readdirSync(join(statePath(agent), 'run'))

describe('a handover', { skip: noLauncher }, () => {
  it('leaves async executions to the next agent, which serves soon, and ends the others', async (t) => {
    const first = await startTestAgent({ config: { drain_seconds: 1 } })
    let agent = first
    const calls = new Calls(() => agent.client)
    const survivors = new Survivors(makeTempDir('flux-survivors-'))
    await survivors.deploy(calls)
    await calls.script('sleep', 'exec sleep 600', { env: { SLEEPER: first.dir } })
    const ids = await Promise.all(Array.from({ length: SLEEPERS }, () => calls.start('sleep')))
    for (let i = 0; i < 20; i++) await survivors.lines(calls, LINES, LINES_SECONDS / LINES, i)
    const sync = callSync(first.client, { function_name: 'sleep' })
    const active = SLEEPERS + 20
    const running = await eventually(
      'all run',
      async () => {
        const pids = await pidsOf(first)
        return pids.length === active + 1 && pids.every(([, pid]) => pid > 0) ? pids : undefined
      },
      60,
    )
    const pids = new Map(running.filter(([id]) => id !== sync.id))

    const signalled = performance.now()
    const { code, stdout, stderr } = await runCli(['handover', '--config', first.configFile])
    assert.equal(code, 0, stderr)
    assert.match(stdout.toString(), new RegExp(`; ${active} executions go on\n$`))
    const handed = performance.now() - signalled
    agent = await startTestAgent({ dir: first.dir, config: { drain_seconds: 1 } })
    const served = performance.now() - signalled
    t.diagnostic(
      `${active} executions: handed over after ${handed.toFixed(0)} ms, serving after ${served.toFixed(0)} ms`,
    )
    const response = await sync.outcome
    assert.ok('output' in response, 'answered by a status')
    assert.match(response.error, /^agent stopped$/)

    const now = new Map(await pidsOf(agent))
    // The others may have ended.
    for (const id of ids) assert.equal(now.get(id), pids.get(id))
    for (const id of ids.slice(0, 3)) assert.equal((await calls.cancel(id)).success, true)
    for (const id of survivors.ids) survivors.check(await calls.ended(id, 60))
    await agent.stop()
    assert.deepEqual(processesWith('SLEEPER', first.dir), [])
    assert.deepEqual(launchersBelow(statePath(agent)), [])
    assert.deepEqual(sockets(agent), [])
    assert.ok(served < LIMIT_MS, `${served} ms`)
  })

  it('stops an agent whose executions cannot outlive it', async () => {
    const agent = await startTestAgent({ config: { survive_seconds: 0, drain_seconds: 0 } })
    const calls = new Calls(agent.client)
    await calls.script('sleep', 'echo $$; exec sleep 600')
    const { output } = await calls.printed(await calls.start('sleep'), '\n')
    const { code, stdout } = await runCli(['handover', '--config', agent.configFile])
    assert.equal(code, 0)
    assert.match(stdout.toString(), /; 0 executions go on\n$/)
    assert.equal(isRunning(Number(output)), false)
  })
})

describe('executions that no agent comes back for', { skip: noLauncher }, () => {
  async function abandoned(config: object): Promise<{ agent: TestAgent; id: string; pid: number }> {
    const agent = await startTestAgent({ config: { ...config } })
    const calls = new Calls(agent.client)
    await calls.script('sleep', 'echo $$; setsid sleep 600 & exec sleep 600', { env: { ABANDONED: agent.dir } })
    const id = await calls.start('sleep')
    const { output } = await calls.printed(id, '\n')
    await agent.kill()
    return { agent, id, pid: Number(output) }
  }

  it('end after survive_seconds, leave nothing behind, and are recorded at the next start', async () => {
    const { agent, id, pid } = await abandoned({ survive_seconds: 2 })
    const killed = performance.now()
    await sleep(500)
    assert.equal(isRunning(pid), true)
    await eventually('it is dead', () => !isRunning(pid), 10)
    const took = performance.now() - killed
    assert.ok(took > 1_500 && took < 4_000, `${took} ms`)
    await eventually('no launcher is left', () => launchersBelow(statePath(agent)).length === 0, 5)
    assert.deepEqual(processesWith('ABANDONED', agent.dir), [])
    assert.deepEqual(sockets(agent), [])
    const place = findCgroupPlace()
    if (place.kind === 'shared') assert.equal(existsSync(cgroupFolder(place, statePath(agent))), false)
    const next = await startTestAgent({ dir: agent.dir })
    const { status, error } = await new Calls(next.client).record(id)
    assert.deepEqual([status, error], ['failed', 'agent restarted'])
    await next.stop()
  })

  it('are ended by a stop, though their agent is dead', async () => {
    const { agent, pid } = await abandoned({})
    const { code, stdout, stderr } = await runCli(['stop', '--config', agent.configFile])
    assert.equal(code, 0, stderr)
    assert.match(stdout.toString(), /ended the executions that the last one left: 1\n$/)
    assert.equal(isRunning(pid), false)
    assert.deepEqual(launchersBelow(statePath(agent)), [])
    assert.deepEqual(processesWith('ABANDONED', agent.dir), [])
    assert.deepEqual(sockets(agent), [])
    const again = await runCli(['stop', '--config', agent.configFile])
    assert.equal(again.code, 1)
    assert.match(again.stderr, /no agent runs in/)
  })

  it('are left alone by a second agent while the first lives', async () => {
    const agent = await startTestAgent()
    const calls = new Calls(agent.client)
    await calls.script('sleep', 'exec sleep 600')
    const id = await calls.start('sleep')
    await eventually('its socket is there', () => sockets(agent).some((name) => name.endsWith('.sock')))
    await assert.rejects(startTestAgent({ dir: agent.dir }), /is in use by process/)
    for (const name of sockets(agent)) assert.equal(await answersOf(join(statePath(agent), 'run', name)), 0)
    assert.equal((await calls.record(id)).status, 'running')
    assert.equal((await calls.cancel(id)).success, true)
    await agent.stop()
  })
})

async function pidsOf({ operations }: TestAgent): Promise<[string, number][]> {
  const { executions } = await answer<ListExecutionsResponse__Output>((options, done) =>
    operations.listExecutions({}, options, done),
  )
  return executions.map(({ execution_id, usage }) => [execution_id, usage?.pid ?? 0])
}

/** How many bytes a connection is sent before it is closed. */
function answersOf(path: string): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    createConnection(path)
      .on('data', (chunk) => {
        bytes += chunk.length
      })
      .on('close', () => resolve(bytes))
      .on('error', reject)
  })
}
