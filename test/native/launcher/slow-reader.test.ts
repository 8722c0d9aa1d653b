import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { ownMemoryMiB } from '../../../harness/proc.js'
import { isRunning } from '../../../harness/processes.js'
import { describeEach } from './variants.js'

describeEach('a launcher whose reader does not read', ({ launch, sanitized }) => {
  it('neither spins nor takes in more and more, and still kills', async () => {
    const launcher = launch({ unread: true })
    await eventually('it has started', () => launcher.holdings().descriptors > 3)
    const floods = Array.from({ length: 30 }, () => launcher.script('exec cat /dev/zero'))
    await eventually('all run', () => launcher.children().length === floods.length)
    await launcher.idles()
    const memory = ownMemoryMiB(launcher.pid)
    assert.ok(sanitized || memory < 20, `${memory} MiB`)
    const pids = launcher.children()
    launcher.kill(...floods)
    await eventually('all are dead', () => !pids.some(isRunning))
    // Of each its pipe's content has to be told still.
    assert.ok(sanitized || ownMemoryMiB(launcher.pid) < 40, `${ownMemoryMiB(launcher.pid)} MiB`)
    await launcher.idles()
    launcher.read()
    for (const { signal } of await Promise.all(floods.map(({ ended }) => ended))) assert.equal(signal, 9)
    assert.ok(floods.every(({ outputLength }) => outputLength >= 65_536))
  })

  it('starts what it is asked to, and tells everything in the end', async () => {
    const launcher = launch({ unread: true })
    const executions = Array.from({ length: 100 }, (_, i) => launcher.script(`echo ${i}; head -c 100000 /dev/zero`))
    await launcher.idles()
    launcher.read()
    for (const [i, execution] of executions.entries()) {
      await execution.result()
      assert.equal(execution.outputLength, `${i}\n`.length + 100_000)
    }
  })

  it('leaves in a few seconds when its stdin closes, and nothing stays behind', async () => {
    const launcher = launch({ unread: true })
    const floods = Array.from({ length: 20 }, () => launcher.script('exec cat /dev/zero'))
    await eventually('all run', () => launcher.children().length === floods.length)
    await launcher.idles()
    const pids = launcher.children()
    launcher.stdin.end()
    await eventually('it has left', () => !isRunning(launcher.pid))
    assert.equal(pids.some(isRunning), false)
    launcher.stdout.destroy()
    assert.deepEqual(await launcher.exited, { code: 0, signal: null })
  })
})
