import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, it } from 'node:test'
import { CLI, startTestAgent, type TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'
import { isRunning } from '../../harness/processes.js'
import { followed } from '../support/live-calls.js'
import { awaitGate, Gate } from '../support/scripts.js'
import { counter, executionsOf, hold, launchersOf, makeGroup, readGroup, within } from './groups.js'
import { notInGuest } from './guest.js'

const PID_MAX = '/proc/sys/kernel/pid_max'
const MEBIBYTE = 2 ** 20

/** The cgroup of all executions. */
function aggregateOf(agent: TestAgent): string {
  return dirname(executionsOf(agent))
}

function limitsOf(aggregate: string): readonly [memoryMb: number, processes: number] {
  return [Number(readGroup(aggregate, 'memory.max')) / MEBIBYTE, Number(readGroup(aggregate, 'pids.max'))]
}

/** What the agent has said at its start. */
function saidBy(agent: TestAgent): { readonly memory_mb: number; readonly processes: number } {
  const line = agent
    .logs()
    .split('\n')
    .find((text) => text.includes('every execution gets a cgroup'))
  return JSON.parse(String(line)).together
}

describe('all executions together', { skip: notInGuest }, () => {
  it('get less memory than there is for them and the agent: one is killed whole, and all else goes on', async (t) => {
    const service = makeGroup('flux-test-aggregate')
    writeFileSync(`${service}/memory.max`, String(800 * MEBIBYTE))
    const agent = await startTestAgent({ through: within(service), config: { workers: 1 } })
    t.after(() => agent.stop())
    const calls = new Calls(agent.client)
    assert.equal(limitsOf(aggregateOf(agent))[0], 600)
    const launchers = launchersOf(agent)

    await calls.script('modest', `echo ready; ${awaitGate(1)}; echo unharmed`)
    await calls.script('greedy', `sleep 300 & echo $!; ${awaitGate(1)}; ${hold(400)}; echo survived`)
    const end = new Gate()
    const modest = await calls.start('modest', [end.path])
    const grow = new Gate()
    const ids = [await calls.start('greedy', [grow.path]), await calls.start('greedy', [grow.path])]
    const besides: number[] = []
    for (const id of ids) besides.push(Number((await calls.printed(id, '\n')).output))
    grow.open()
    const ends = await Promise.all(ids.map((id) => calls.ended(id, 60)))
    const killed = ends.filter(({ oom_killed }) => oom_killed)
    assert.ok(killed.length > 0, 'at least one is killed')
    for (const { status, error, signal } of killed) {
      assert.deepEqual([status, signal], ['failed', 'SIGKILL'])
      assert.match(
        String(error),
        /^out of memory: killed by a limit on a cgroup above, such as that for all executions together/,
      )
    }
    assert.deepEqual(besides.filter(isRunning), [])
    assert.equal(counter(service, 'memory.events.local', 'oom'), 0)
    end.open()
    const [output, { status }] = await followed(agent.operations, modest)
    assert.deepEqual([output.toString(), status], ['ready\nunharmed\n', 'success'])
    assert.deepEqual(launchersOf(agent), launchers)
    assert.equal((await calls.health()).healthy, true)
  })

  it('cannot take all processes of the machine, however many fork', async (t) => {
    const before = readFileSync(PID_MAX, 'utf8')
    const restore = () => writeFileSync(PID_MAX, before)
    onExit(restore)
    t.after(restore)
    // The kernel gives those below 300 once, after its start.
    writeFileSync(PID_MAX, '900')
    const agent = await startTestAgent({ config: { workers: 2, max_processes: 0 } })
    t.after(() => agent.stop())
    const calls = new Calls(agent.client)
    const aggregate = aggregateOf(agent)
    assert.equal(readGroup(aggregate, 'pids.max'), '300')
    assert.equal(saidBy(agent).processes, 300)
    const doctor = spawnSync(process.execPath, [CLI, 'doctor', '--config', agent.configFile]).stdout.toString()
    assert.match(
      doctor,
      /^ok +limits +all executions together get at most \d+ MB of memory and 300 processes and threads$/m,
    )

    const bomb = `exec perl -e 'while () { fork or select(undef, undef, undef, 0.2) }'`
    const ids: string[] = []
    await calls.script('innocent', 'echo ran')
    for (const name of ['bomb', 'other-bomb']) {
      await calls.script(name, bomb)
      ids.push(await calls.start(name), await calls.start(name))
    }
    const full = () => eventually('no more can be forked', () => readGroup(aggregate, 'pids.current') === '300', 60)
    await full()
    assert.equal((await calls.health()).healthy, true)
    assert.equal(spawnSync('/bin/true').status, 0)
    const { error } = await calls.execute({ function_name: 'innocent' })
    assert.match(error, /all executions together, or the machine, run as many processes .* \(EAGAIN\)$/)

    // The agent can start threads and processes: those that unpack, and another launcher.
    await calls.script('late', 'echo ran')
    const [launcher] = launchersOf(agent) as [number]
    process.kill(launcher, 'SIGKILL')
    await eventually('executions of a launcher that has died are dead', () => !isRunning(launcher), 30)
    const other = await eventually(
      'some are still forking',
      async () => {
        const running: string[] = []
        for (const id of ids) if ((await calls.record(id)).status === 'running') running.push(id)
        return running.length < ids.length ? running : undefined
      },
      30,
    )
    assert.ok(other.length > 0)
    await full()
    // Of two that the launcher had, one may have been told of before the other.
    for (const id of other) {
      await calls.cancel(id).catch(() => 'it takes longer')
      assert.match(String((await calls.ended(id, 60)).error), /execution cancelled|launcher has died/)
    }
    await eventually('there is room', () => Number(readGroup(aggregate, 'pids.current')) < 100, 60)
    for (const name of ['innocent', 'innocent', 'late']) {
      assert.equal((await calls.execute({ function_name: name })).output.toString(), 'ran\n')
    }
    // A launcher that has died is replaced by the next execution of its worker; of two at once, each worker gets one.
    await calls.script('held', awaitGate(1))
    const end = new Gate()
    const held = [await calls.start('held', [end.path]), await calls.start('held', [end.path])]
    await eventually('another launcher is there', () => launchersOf(agent).length === 2, 30)
    end.open()
    for (const id of held) assert.equal((await calls.ended(id)).status, 'success')
  })

  it('get what their unit and the one with the agent leave them, and the next agent looks again', async () => {
    const slice = makeGroup('flux-test-aggregate-slice')
    writeFileSync(`${slice}/cgroup.subtree_control`, '+memory +cpu +pids')
    const unit = `${slice}/flux.service`
    const executions = `${slice}/flux-executions.service`
    for (const dir of [unit, executions]) mkdirSync(dir)
    writeFileSync(`${slice}/memory.max`, String(1000 * MEBIBYTE))
    writeFileSync(`${slice}/pids.max`, '1000')
    writeFileSync(`${executions}/memory.max`, String(100 * MEBIBYTE))
    const config = { workers: 1 }
    const through = within(unit)
    const first = await startTestAgent({ config, through })
    assert.equal(aggregateOf(first), `${executions}/executions`)
    assert.deepEqual(limitsOf(aggregateOf(first)), [750, 500])
    assert.deepEqual(saidBy(first), { memory_mb: 100, processes: 500 })
    const calls = new Calls(first.client)
    await calls.script('greedy', `echo ready; ${awaitGate(1)}; ${hold(200)}`)
    const gate = new Gate()
    const id = await calls.start('greedy', [gate.path])
    await calls.printed(id, 'ready')
    process.kill(first.pid, 'SIGHUP')
    await eventually('it has reloaded', () => first.logs().includes('configuration read again'))
    assert.deepEqual(limitsOf(aggregateOf(first)), [750, 500])
    await first.kill()

    writeFileSync(`${slice}/memory.max`, String(800 * MEBIBYTE))
    writeFileSync(`${slice}/pids.max`, '2000')
    const next = await startTestAgent({ config, through, dir: first.dir })
    assert.deepEqual(limitsOf(aggregateOf(next)), [600, 1488])
    gate.open()
    assert.match(String((await new Calls(next.client).ended(id)).error), /a limit on a cgroup above/)
    assert.equal(await next.stop(), 0)
  })
})
