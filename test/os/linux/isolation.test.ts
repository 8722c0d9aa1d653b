import assert from 'node:assert/strict'
import { existsSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { platform } from '../../../src/os/index.js'

describe('isolation', () => {
  it('is found as it was foretold, and leaves nothing once it is released', async () => {
    const stateDir = makeTempDir('flux-isolation-')
    const options = {
      stateDir,
      scratchDir: join(stateDir, 'run'),
      noNewPrivileges: true,
      maxProcesses: 7,
      oomKill: 'execution' as const,
      surviveMs: 0,
    }
    const { problem, unenforced, cgroups } = platform.inspectIsolation()
    const isolation = await platform.isolate(options)
    assert.deepEqual(isolation.unenforced, unenforced)
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

  it('makes a folder for temporary files, and says why there can be none', async () => {
    const stateDir = makeTempDir('flux-isolation-')
    const isolated = async (tmpdirs: string) => {
      const limits = { noNewPrivileges: true, maxProcesses: 0, oomKill: 'execution', surviveMs: 0 } as const
      const isolation = await platform.isolate({ stateDir, scratchDir: join(stateDir, 'run'), tmpdirs, ...limits })
      platform.release(isolation)
      return isolation
    }
    const dir = join(stateDir, 'apps', '.tmp')
    const { starter, noTmpdirs } = await isolated(dir)
    if (starter.kind !== 'launcher') return
    assert.deepEqual([starter.tmpdirs, noTmpdirs], [dir, undefined])
    assert.equal(statSync(dir).mode & 0o7777, 0o711)
    writeFileSync(join(stateDir, 'file'), '')
    const without = await isolated(join(stateDir, 'file', '.tmp'))
    assert.equal('tmpdirs' in without.starter, false)
    assert.match(without.noTmpdirs ?? '', /^ENOTDIR: .*\/file\/\.tmp/)
  })
})
