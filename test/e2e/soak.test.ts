import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { before, it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { eventually } from '../../harness/eventually.js'
import { childrenOf, descriptorCounts, listeningPorts, ownMemoryMiB, processesWith } from '../../harness/proc.js'
import { childrenOf as childrenOfCgroup } from '../../src/os/linux/cgroup-files.js'
import { cgroupFolder, findCgroupPlace } from '../../src/os/linux/cgroups.js'
import { describeAgent } from '../support/describe-agent.js'
import { heldMemoryMiB, probedEnvironment } from '../support/held-memory.js'
import { Soak } from '../support/soak.js'

const WORKERS = 2
const IN_FLIGHT = 64
const LONG = process.env['CI'] || process.env['SOAK']
const WARM_UP = LONG ? 3_000 : 200
const EXECUTIONS = LONG ? 20_000 : 500
/** How far the memory held at two equal moments lies apart without any leak; one of 1 KiB an execution is more. */
const FLAT_MIB = LONG ? 16 : 8
/** What cgroup.c keeps of one worker. */
const SPARE_CGROUPS = 256

const noCgroups = findCgroupPlace().kind !== 'shared' && 'cgroups cannot be made here'

const memory = makeTempDir('flux-soak-memory-')
const options = { skip: process.platform !== 'linux', env: probedEnvironment(memory), config: { workers: WORKERS } }

describeAgent(`${EXECUTIONS} short executions, ${IN_FLIGHT} in flight`, options, ({ agent, calls }) => {
  const marker = randomUUID()
  let soak: Soak
  let warm: { readonly descriptors: Record<string, number>; readonly memoryMiB: number }

  before(async () => {
    const threads = eventLoops()
    soak = await Soak.deploy(agent, { SOAK: marker })
    await soak.run(WARM_UP, IN_FLIGHT)
    await idle()
    await eventually('the thread of deploys has ended', () => eventLoops() === threads, 30)
    warm = { descriptors: descriptorCounts(agent.pid), memoryMiB: await heldMemoryMiB(memory) }
  })

  /** Where this agent's cgroups are; undefined where there can be none. */
  const cgroups = () => {
    const place = findCgroupPlace()
    return place.kind === 'shared' ? cgroupFolder(place, join(agent.dir, 'state')) : undefined
  }

  const eventLoops = () => descriptorCounts(agent.pid)['anon_inode:[eventpoll]']

  const idle = () => eventually('no task is active', async () => (await calls.status()).active_tasks === 0)

  it('all end as they should', async (t) => {
    const begun = performance.now()
    const watch = setInterval(() => void soak.listed().catch((error: Error) => soak.surprises.push(error.message)), 500)
    await soak.run(EXECUTIONS - WARM_UP, IN_FLIGHT)
    clearInterval(watch)
    const seconds = (performance.now() - begun) / 1000
    t.diagnostic(`${EXECUTIONS - WARM_UP} after a warm-up of ${WARM_UP}: ${seconds.toFixed(1)} s, ${soak.summary()}`)
    assert.deepEqual(soak.surprises, [])
  })

  it('give all slots back', async () => {
    await idle()
  })

  it('are not listed any more', async () => {
    assert.deepEqual(await soak.listed(), [])
  })

  it('leave no process', async () => {
    await eventually('no process of a function is left', () => processesWith('SOAK', marker).length === 0, 5)
    // The launchers stay, one a worker thread.
    const launchers = childrenOf(agent.pid).map(({ pid }) => pid)
    assert.equal(launchers.length, WORKERS)
    await eventually('no child is left to reap', () => launchers.every((pid) => childrenOf(pid).length === 0), 5)
  })

  it('leave no descriptor open, no socket and no listener', async () => {
    await eventually('the descriptors are those from before', () => {
      assert.deepEqual(descriptorCounts(agent.pid), warm.descriptors)
      return true
    })
    assert.deepEqual(listeningPorts(agent.pid), [agent.port])
  })

  it('leave no more cgroups than are kept to be reused', { skip: noCgroups }, () => {
    const dir = cgroups() as string
    const workers = childrenOfCgroup(dir)
    assert.equal(workers.length, WORKERS)
    for (const worker of workers) {
      const left = childrenOfCgroup(join(dir, worker))
      assert.ok(left.length <= SPARE_CGROUPS, `${left.length} cgroups are left`)
    }
  })

  it('leave the memory flat', async (t) => {
    const memoryMiB = await heldMemoryMiB(memory)
    const [before, after] = [warm.memoryMiB, memoryMiB].map((mib) => mib.toFixed(1))
    t.diagnostic(
      `held: ${before} MiB after the warm-up, ${after} MiB at the end; process: ${ownMemoryMiB(agent.pid)} MiB`,
    )
    assert.ok(memoryMiB < warm.memoryMiB + FLAT_MIB, `${warm.memoryMiB} MiB have become ${memoryMiB} MiB`)
  })

  it('are all on record, the sync ones not', async () => {
    assert.deepEqual(await soak.misrecorded(IN_FLIGHT), [])
  })

  it('leave no file behind once the agent has stopped', async () => {
    assert.equal(await agent.stop(), 0)
    assert.equal(existsSync(cgroups() ?? '/nowhere'), false)
    const left = ['run', 'writes'].flatMap((folder) => filesIn(join(agent.dir, 'state', folder)))
    assert.deepEqual(left, [])
  })
})

function filesIn(dir: string): string[] {
  try {
    return readdirSync(dir, { recursive: true, encoding: 'utf8' })
  } catch {
    return []
  }
}
