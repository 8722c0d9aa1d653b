import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { makeTempDir } from '../../../harness/agent.js'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { isRunning } from '../../../harness/processes.js'
import { killCgroup, removeTree } from '../../../src/os/linux/cgroup-files.js'
import { availableControllers, findCgroupPlace } from '../../../src/os/linux/cgroups.js'
import { inspectIsolation } from '../../../src/os/linux/isolation.js'
import type { Isolated } from './isolated.js'

const ISOLATED = fileURLToPath(new URL('./isolated.js', import.meta.url))
const place = findCgroupPlace()
const skip =
  process.getuid?.() === 0 && place.kind !== 'none' ? false : 'needs root and a cgroup2 mount that can be written'
const shared = place.kind === 'shared' ? place.dir : ''
const notShared = place.kind !== 'shared' && 'the cgroup of this process is its own'
const noLauncher = inspectIsolation().problem ?? false

/** Runs a program in a cgroup from its first instruction on; it is gone at the latest when this process is. */
function spawnIn(cgroup: string, ...command: string[]): ChildProcess {
  const join = `echo $$ > ${cgroup}/cgroup.procs && exec "$@"`
  const child = spawn('/bin/sh', ['-c', join, 'sh', ...command], { stdio: ['pipe', 'pipe', 'inherit'] })
  onExit(() => child.kill('SIGKILL'))
  return child
}

async function sleepIn(cgroup: string): Promise<number> {
  const { pid } = spawnIn(cgroup, 'sleep', '300')
  await eventually('it has moved', () => readFileSync(`${cgroup}/cgroup.procs`, 'utf8').includes(`${pid}\n`))
  return pid as number
}

describe('cgroups below one in which the agent is alone', { skip: skip || notShared || noLauncher }, () => {
  /** As a service manager makes one, with the processes of the agents in it. */
  function makeUnit(): string {
    const unit = mkdtempSync(join(shared, 'flux-test-unit-'))
    onExit(() => removeTree(unit))
    return unit
  }

  interface Agent extends Isolated {
    readonly pid: number
    /** Ends it, in order. */
    stop(): Promise<void>
  }

  async function startIn(cgroup: string, stateDir: string): Promise<Agent> {
    const child = spawnIn(cgroup, process.execPath, ISOLATED, stateDir)
    const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
    const stop = async () => {
      child.stdin?.end()
      await once(child, 'exit')
    }
    return { ...(JSON.parse(line) as Isolated), pid: child.pid as number, stop }
  }

  it('are made beside a leaf that it moves into, and removed', async () => {
    const unit = makeUnit()
    const agent = await startIn(unit, makeTempDir('flux-cgroups-'))
    assert.equal(agent.at, `/${basename(unit)}/agent`)
    assert.equal(dirname(String(agent.dir)), join(unit, 'executions'))
    assert.equal(readFileSync(join(unit, 'cgroup.procs'), 'utf8'), '')
    await agent.stop()
    assert.equal(existsSync(join(unit, 'executions')), false)
  })

  it('are made below the unit for executions beside it, where there is one, and the agent stays where it is', async () => {
    const name = `${makeUnit()}.service`
    const executions = name.replace('.service', '-executions.service')
    for (const unit of [name, executions]) {
      mkdirSync(unit)
      onExit(() => removeTree(unit))
    }
    const agent = await startIn(name, makeTempDir('flux-cgroups-'))
    assert.equal(agent.at, `/${basename(name)}`)
    assert.equal(dirname(String(agent.dir)), join(executions, 'executions'))
    await agent.stop()
    assert.equal(existsSync(executions), true)
    assert.equal(existsSync(join(executions, 'executions')), false)
  })

  it('are cleaned by the next start', async () => {
    const unit = makeUnit()
    const stateDir = makeTempDir('flux-cgroups-')
    const agent = await startIn(unit, stateDir)
    mkdirSync(join(String(agent.dir), 'worker-1'))
    const left = await sleepIn(join(String(agent.dir), 'worker-1'))
    process.kill(agent.pid, 'SIGKILL')
    await eventually('it is dead', () => !isRunning(agent.pid))
    // With controllers enabled nothing can be started right in the unit any more.
    const next = await startIn(join(unit, 'agent'), stateDir)
    assert.deepEqual([next.at, next.dir], [agent.at, agent.dir])
    assert.equal(isRunning(left), false)
    await next.stop()
  })

  it("stay apart from those of another that is started in the first one's leaf", async () => {
    const unit = makeUnit()
    const first = await startIn(unit, makeTempDir('flux-cgroups-'))
    mkdirSync(join(String(first.dir), 'worker-1'))
    const execution = await sleepIn(join(String(first.dir), 'worker-1'))
    const second = await startIn(join(unit, 'agent'), makeTempDir('flux-cgroups-'))
    assert.equal(second.at, first.at)
    assert.equal(dirname(String(second.dir)), dirname(String(first.dir)))
    assert.notEqual(second.dir, first.dir)
    await second.stop()
    assert.equal(isRunning(execution), true)
    process.kill(execution, 'SIGKILL')
    await first.stop()
  })

  it('are made elsewhere where it is not alone', async () => {
    const unit = makeUnit()
    const neighbour = await sleepIn(unit)
    const agent = await startIn(unit, makeTempDir('flux-cgroups-'))
    assert.equal(agent.at, `/${basename(unit)}`)
    assert.equal(dirname(String(agent.dir)), join(shared, 'flux'))
    await agent.stop()
    process.kill(neighbour, 'SIGKILL')
  })
})

describe('without cgroup.kill', { skip: process.platform === 'win32' }, () => {
  it('every process is killed by its pid, and never the group of the agent', async () => {
    // A folder of plain files: what the kernel says of processes in another PID namespace is 0.
    const dir = makeTempDir('flux-cgroups-')
    const below = join(dir, 'below')
    mkdirSync(below)
    const sleeps = [0, 1].map(() => spawn('sleep', ['300'], { stdio: 'ignore' }))
    const ended = sleeps.map((child) => once(child, 'exit'))
    const gone = spawn('true')
    await once(gone, 'exit')
    writeFileSync(join(dir, 'cgroup.procs'), `0\n${gone.pid}\n${sleeps[0]?.pid}\n`)
    writeFileSync(join(below, 'cgroup.procs'), `${sleeps[1]?.pid}\n`)
    killCgroup(dir)
    for (const [, signal] of await Promise.all(ended)) assert.equal(signal, 'SIGKILL')
    assert.equal(existsSync(join(dir, 'cgroup.kill')), false)
  })
})

describe('inspectIsolation', { skip }, () => {
  it('changes nothing', () => {
    const before = readFileSync('/proc/self/cgroup', 'utf8')
    const control = join(shared || '/sys/fs/cgroup', 'cgroup.subtree_control')
    const enabled = existsSync(control) && readFileSync(control, 'utf8')
    const { cgroups, unenforced } = inspectIsolation()
    assert.equal(readFileSync('/proc/self/cgroup', 'utf8'), before)
    assert.equal(existsSync(control) && readFileSync(control, 'utf8'), enabled)
    if (noLauncher) return
    assert.equal(cgroups, place.kind === 'none' ? undefined : place.dir)
    const available = availableControllers({ dir: String(cgroups) })
    assert.equal(unenforced.memory === undefined, available.includes('memory'))
    assert.equal(unenforced.cpu === undefined, available.includes('cpu'))
    assert.equal(unenforced.processes === undefined, available.includes('pids'))
  })
})
