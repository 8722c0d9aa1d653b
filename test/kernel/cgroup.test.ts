import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { describe, it, type TestContext } from 'node:test'
import { notInGuest } from './guest.js'

const ROOT = '/sys/fs/cgroup'

describe('the guest kernel', { skip: notInGuest }, () => {
  it('has the controllers that limits are kept by', (t) => {
    const below = makeGroup(t)
    for (const dir of [ROOT, below]) {
      const controllers = readFileSync(`${dir}/cgroup.controllers`, 'utf8').trim().split(' ')
      for (const name of ['memory', 'cpu', 'pids']) assert.ok(controllers.includes(name), `${name} in ${dir}`)
    }
    for (const name of ['cgroup.kill', 'memory.max', 'memory.oom.group', 'memory.peak', 'cpu.max', 'pids.max']) {
      assert.ok(existsSync(`${below}/${name}`), name)
    }
  })

  it('kills a process that exceeds its memory, and counts it', (t) => {
    const group = makeGroup(t)
    writeFileSync(`${group}/memory.max`, String(16 << 20))
    // tail keeps the last line, which never ends.
    const script = `echo $$ >${group}/cgroup.procs && exec tail /dev/zero`
    const { signal } = spawnSync('/bin/sh', ['-c', script])
    assert.equal(signal, 'SIGKILL')
    assert.match(readFileSync(`${group}/memory.events`, 'utf8'), /^oom_kill 1$/m)
  })
})

function makeGroup(t: TestContext): string {
  const dir = `${ROOT}/${t.name.replaceAll(/\W/g, '-')}`
  mkdirSync(dir)
  t.after(() => rmdirSync(dir))
  return dir
}
