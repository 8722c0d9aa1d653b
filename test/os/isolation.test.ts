import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { platform } from '../../src/os/index.js'
import { makeTempDir } from '../support/agent.js'

describe('isolation', () => {
  it('is found as it was foretold, and leaves nothing once it is released', async () => {
    const stateDir = makeTempDir('flux-isolation-')
    const options = {
      stateDir,
      scratchDir: join(stateDir, 'run'),
      noNewPrivileges: true,
      maxProcesses: 7,
      oomKill: 'execution' as const,
    }
    const { problem, unkept, cgroups } = platform.inspectIsolation()
    const isolation = await platform.isolate(options)
    assert.deepEqual(isolation.unkept, unkept)
    assert.equal(isolation.problem, problem)
    assert.equal(isolation.starter.kind, problem || process.platform === 'win32' ? 'child_process' : 'launcher')
    if (isolation.starter.kind === 'launcher') {
      const { cgroups: made, noNewPrivileges, maxProcesses } = isolation.starter
      assert.deepEqual([noNewPrivileges, maxProcesses], [true, 7])
      assert.equal(made === undefined, cgroups === undefined)
      if (made) assert.ok(made.dir.startsWith(`${cgroups}/`) && existsSync(made.dir))
      platform.release(isolation)
      if (made) assert.equal(existsSync(made.dir), false)
    }
  })
})
