import assert from 'node:assert/strict'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { it } from 'node:test'
import { makeTempDir } from '../../harness/agent.js'
import { platform } from '../../src/os/index.js'
import type { Limits, ProcessStarter } from '../../src/os/platform.js'
import { run } from '../os/linux/processes.js'
import { notInGuest } from './guest.js'

const ROUNDS = 3
const MOST_ROUNDS = 12
const RUNS = 40
const AT_ONCE = 8
const NONE: Limits = { memoryMb: 0, cpuMillicores: 0 }

it('a limit does not cost executions half of their rate', { skip: notInGuest }, async (t) => {
  const stateDir = makeTempDir('flux-rate-')
  const scratchDir = join(stateDir, 'run')
  mkdirSync(scratchDir)
  const isolation = await platform.isolate({
    stateDir,
    scratchDir,
    noNewPrivileges: true,
    maxProcesses: 0,
    oomKill: 'execution',
    surviveMs: 0,
  })
  assert.deepEqual(isolation.unenforced, {})
  t.after(() => platform.release(isolation))
  const starter = platform.createStarter(isolation.starter)
  t.after(() => starter.close())

  const unlimited: number[] = []
  const limited: number[] = []
  const ratio = () => Math.max(...limited) / Math.max(...unlimited)
  // In turns, since the machine may be busy with something else for a while.
  for (let round = 0; round < ROUNDS || (round < MOST_ROUNDS && ratio() <= 0.5); round++) {
    unlimited.push(await rate(starter, NONE))
    limited.push(await rate(starter, { ...NONE, memoryMb: 64 }))
  }
  const [without, having] = [Math.max(...unlimited), Math.max(...limited)]
  t.diagnostic(
    `executions a second: ${without.toFixed()} without memory_mb, ${having.toFixed()} with, ${ratio().toFixed(2)}`,
  )
  assert.ok(ratio() > 0.5, `${ratio()}`)
})

/** Executions a second. */
async function rate(starter: ProcessStarter, limits: Limits): Promise<number> {
  const began = performance.now()
  let next = 0
  await Promise.all(
    Array.from({ length: AT_ONCE }, async () => {
      while (next++ < RUNS) {
        const { end } = await run(starter, { file: '/bin/true', args: [], cwd: '/', env: {}, limits })
        assert.equal(end.kind === 'exited' && end.code, 0)
      }
    }),
  )
  return (1000 * RUNS) / (performance.now() - began)
}
