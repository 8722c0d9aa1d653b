import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { launchersOf, noLauncher } from '../../harness/launchers.js'
import { isRunning } from '../../harness/processes.js'
import { platform } from '../../src/os/index.js'
import { callSync } from '../support/live-calls.js'
import { awaitTold, TELL } from '../support/scripts.js'

/** Prints the pids of its leader, a child, and what has left the group in each way there is. */
const ESCAPE = `
sleep 600 & echo $!
setsid sleep 600 & echo $!
sh -c 'setsid sleep 600 & echo $!'
setsid sh -c 'sleep 600 & echo $!; ${TELL}; wait' &
sleep 0.3; ${awaitTold(1)}; echo $$; echo ready; wait`

const { cgroups } = noLauncher === undefined ? platform.inspectIsolation() : {}
const noCgroups = cgroups ? noLauncher : 'needs cgroups'

/** Executions of every kind, and the pids of all their processes. */
async function runEscapees(agent: TestAgent): Promise<number[]> {
  const calls = new Calls(agent.client)
  await calls.script('escape', ESCAPE)
  const { id } = callSync(agent.client, { function_name: 'escape' })
  const ids = [id, await calls.start('escape'), await calls.start('escape')]
  const pids: number[] = []
  for (const one of ids) pids.push(...((await calls.printed(one, 'ready')).output?.match(/\d+/g) ?? []).map(Number))
  assert.equal(pids.length, 15)
  assert.equal(pids.every(isRunning), true)
  return pids
}

describe('an agent that is killed', { skip: noLauncher }, () => {
  it('takes everything with it within seconds, wherever it has gone, where nothing is to survive', async () => {
    const agent = await startTestAgent({ config: { survive_seconds: 0 } })
    const pids = await runEscapees(agent)
    const launchers = launchersOf(agent.pid)
    assert.ok(launchers.length > 0)
    await agent.kill()
    await eventually('all processes are dead', () => !pids.some(isRunning), 5)
    await eventually('the launchers have left', () => !launchers.some(isRunning), 2)
  })

  it('leaves to the next start what its launchers, killed at once, could not end', { skip: noCgroups }, async () => {
    const agent = await startTestAgent()
    const pids = await runEscapees(agent)
    const launchers = launchersOf(agent.pid)
    // Stopped first, so that none of them hears of the death of another.
    for (const pid of [...launchers, agent.pid]) process.kill(pid, 'SIGSTOP')
    for (const pid of launchers) process.kill(pid, 'SIGKILL')
    await agent.kill()
    await eventually('the launchers are dead', () => !launchers.some(isRunning), 2)
    assert.ok(pids.some(isRunning), 'nothing is left to be ended')

    const next = await startTestAgent({ dir: agent.dir })
    assert.deepEqual(pids.filter(isRunning), [])
    await next.stop()
  })
})

describe("an agent's cgroups", { skip: noCgroups }, () => {
  it('are gone once it has stopped, and another agent keeps its own', async (t) => {
    const one = await startTestAgent()
    const other = await startTestAgent()
    const calls = new Calls(other.client)
    await calls.script('where', 'grep ^0:: /proc/self/cgroup')
    const where = async () => {
      const { output } = await calls.execute({ function_name: 'where' })
      return output.toString().trim().slice('0::'.length)
    }
    const path = await where()
    // NUMBER of the execution, folder of the launcher, folder of the agent.
    assert.match(basename(dirname(path)), /^launcher-/)
    const folder = join(cgroups as string, dirname(dirname(path)))
    if (!existsSync(folder)) {
      await Promise.all([one.stop(), other.stop()])
      return t.skip(`a container or a service: ${path} is not below ${cgroups}`)
    }
    await one.stop()
    assert.ok(readdirSync(folder).some((name) => name.startsWith('launcher-')))
    assert.match(await where(), new RegExp(`^${dirname(path)}/\\d+$`))
    await other.stop()
    assert.equal(existsSync(folder), false)
  })
})
