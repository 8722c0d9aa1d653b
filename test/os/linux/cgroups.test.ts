import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { makeTempDir } from '../../../harness/agent.js'
import { onExit } from '../../../harness/on-exit.js'
import { isRunning } from '../../../harness/processes.js'
import { emptied, killCgroup, removeTree } from '../../../src/os/linux/cgroup-files.js'
import type { CgroupPlace } from '../../../src/os/linux/cgroup-place.js'
import { closeCgroups, findCgroupPlace, openCgroups } from '../../../src/os/linux/cgroups.js'

const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const place: CgroupPlace = isRoot ? findCgroupPlace() : { kind: 'none', reason: 'needs root' }
const skip = place.kind === 'none' ? place.reason : place.kind === 'own' ? 'would move the test itself' : false

describe("the folder of an agent's cgroups", { skip }, () => {
  const shared = place as CgroupPlace & { readonly dir: string }
  const children: ChildProcess[] = []
  onExit(() => {
    for (const child of children) child.kill('SIGKILL')
  })
  after(() => {
    for (const child of children) child.kill('SIGKILL')
  })

  /** A process in this cgroup, which is made where it is not there. */
  function processIn(cgroup: string): number {
    mkdirSync(cgroup, { recursive: true })
    const child = spawn('sleep', ['600'], { stdio: 'ignore' })
    children.push(child)
    writeFileSync(join(cgroup, 'cgroup.procs'), String(child.pid))
    return child.pid as number
  }

  it('is below the mount, always the same for one state folder, and gone after the stop', async () => {
    const state = makeTempDir('flux-cgroups-')
    const first = await openCgroups(shared, state, [])
    assert.match(first.dir, new RegExp(`^${shared.dir}/flux/[0-9a-f]{12}$`))
    assert.equal(existsSync(join(first.dir, 'cgroup.procs')), true)
    closeCgroups(first, [])
    assert.equal(existsSync(first.dir), false)
    const second = await openCgroups(shared, join(state, '..', basename(state)), [])
    assert.equal(second.dir, first.dir)
    closeCgroups(second, [])
    assert.equal(existsSync(second.dir), false)
  })

  it('is taken over from one that was killed, whose processes are killed wherever below they are', async () => {
    const state = makeTempDir('flux-cgroups-')
    const { dir } = await openCgroups(shared, state, [])
    const pids = [
      processIn(join(dir, 'worker-1-1-0', '0')),
      processIn(join(dir, 'worker-1-1-0', '1', 'nested', 'deeper')),
      processIn(join(dir, 'worker-1-2-0')),
    ]
    mkdirSync(join(dir, 'worker-1-3-0', '5', 'empty'), { recursive: true })
    assert.equal(pids.every(isRunning), true)
    const again = await openCgroups(shared, state, [])
    assert.equal(pids.some(isRunning), false)
    for (const name of ['worker-1-1-0', 'worker-1-2-0', 'worker-1-3-0'])
      assert.equal(existsSync(join(dir, name)), false)
    assert.equal(again.dir, dir)
    closeCgroups(again, [])
    assert.equal(existsSync(dir), false)
  })

  it('does not disturb that of another agent, which keeps the folder of all', async () => {
    const one = await openCgroups(shared, makeTempDir('flux-cgroups-'), [])
    const pid = processIn(join(one.dir, 'worker-1-1-0', '0'))
    const state = makeTempDir('flux-cgroups-')
    const other = await openCgroups(shared, state, [])
    assert.notEqual(other.dir, one.dir)
    assert.equal(dirname(other.dir), dirname(one.dir))
    closeCgroups(await openCgroups(shared, state, []), [])
    assert.equal(isRunning(pid), true)
    assert.equal(existsSync(one.dir), true)

    // Closed while something still lives in it, it stays for the next start.
    closeCgroups(one, [])
    assert.equal(isRunning(pid), true)
    killCgroup(one.dir)
    assert.equal(await emptied(one.dir), true)
    closeCgroups(one, [])
    assert.equal(existsSync(one.dir), false)
  })

  it('can be killed, waited for and removed as a tree, and again when it is gone', async () => {
    const dir = join(shared.dir, `flux-test-tree-${process.pid}`)
    const pid = processIn(join(dir, 'a', 'b'))
    assert.equal(removeTree(dir), false)
    killCgroup(dir)
    assert.equal(await emptied(dir), true)
    assert.equal(isRunning(pid), false)
    assert.equal(removeTree(dir), true)
    killCgroup(dir)
    assert.equal(await emptied(dir), true)
    assert.equal(removeTree(dir), true)
  })
})
