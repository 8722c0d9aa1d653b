import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { aggregateLimits, effectiveLimits, setAggregateLimits } from '../../../src/os/linux/aggregate-limits.js'

const BOTH = ['memory', 'pids'] as const
const MEMORY_MB = Math.floor(totalmem() / 2 ** 20)

/** Folders of plain files, each below the one before it, with these limits; answers the lowest. */
function cgroups(...levels: readonly { readonly memoryMb?: number; readonly pids?: number }[]): string {
  let dir = makeTempDir('flux-aggregate-')
  for (const [at, { memoryMb, pids }] of levels.entries()) {
    dir = join(dir, `level-${at}`)
    mkdirSync(dir)
    writeFileSync(join(dir, 'cgroup.procs'), '')
    writeFileSync(join(dir, 'memory.max'), memoryMb === undefined ? 'max\n' : `${memoryMb * 2 ** 20}\n`)
    writeFileSync(join(dir, 'pids.max'), `${pids ?? 'max'}\n`)
  }
  return dir
}

function own(dir: string) {
  return { kind: 'own', dir } as const
}

describe('limits of all executions together', { skip: process.platform !== 'linux' }, () => {
  const cases = [
    { name: 'a quarter where little is there', memoryMb: 400, memoryLeft: 100, pids: 100, pidsLeft: 50 },
    { name: 'a fixed amount above that', memoryMb: 2048, memoryLeft: 256, pids: 2000, pidsLeft: 512 },
    { name: 'a part where much is there', memoryMb: 10_000, memoryLeft: 500, pids: 10_000, pidsLeft: 1000 },
  ]
  for (const { name, memoryMb, memoryLeft, pids, pidsLeft } of cases) {
    it(`leave to the agent and the machine ${name}`, () => {
      assert.deepEqual(aggregateLimits(own(cgroups({ memoryMb, pids })), BOTH), {
        memoryMb: memoryMb - memoryLeft,
        processes: pids - pidsLeft,
      })
    })
  }

  it("are below the machine's own where no cgroup has any", () => {
    const { memoryMb = 0, processes = 0 } = aggregateLimits(own(cgroups({})), BOTH)
    assert.ok(memoryMb >= MEMORY_MB * 0.75 && memoryMb <= MEMORY_MB - Math.min(256, MEMORY_MB / 4), `${memoryMb}`)
    const [pidMax = 0, threadsMax = 0] = ['pid_max', 'threads-max'].map((name) =>
      Number(readFileSync(`/proc/sys/kernel/${name}`, 'utf8')),
    )
    const most = Math.min(pidMax, threadsMax)
    assert.ok(processes >= most / 2 && processes <= most * 0.9, `${processes} of ${most}`)
  })

  it('follow the lowest of the cgroups above', () => {
    const dir = cgroups({ memoryMb: 1000, pids: 1000 }, { memoryMb: 400 }, { memoryMb: 800, pids: 2000 })
    assert.deepEqual(aggregateLimits(own(dir), BOTH), { memoryMb: 300, processes: 500 })
  })

  it('do not follow that of the unit for executions, which lowers what counts', () => {
    const dir = cgroups({ memoryMb: 400, pids: 1000 }, { memoryMb: 200, pids: 90 })
    const set = aggregateLimits({ kind: 'unit', dir }, BOTH)
    assert.deepEqual(set, { memoryMb: 300, processes: 500 })
    assert.deepEqual(effectiveLimits({ dir }, set), { memoryMb: 200, processes: 90 })
    assert.deepEqual(effectiveLimits({ dir: dirname(dir) }, set), set)
  })

  it('exist only where their controller does', () => {
    const dir = cgroups({ memoryMb: 400, pids: 100 })
    assert.deepEqual(aggregateLimits(own(dir), ['pids', 'cpu']), { processes: 50 })
    assert.deepEqual(aggregateLimits(own(dir), []), {})
    assert.deepEqual(effectiveLimits({ dir }, {}), {})
    const bare = makeTempDir('flux-aggregate-')
    setAggregateLimits(bare, {})
    assert.throws(() => setAggregateLimits(bare, { processes: 50 }), { code: 'ENOENT' })
  })
})
