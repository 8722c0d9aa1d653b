import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { startFrame } from './frames.js'
import { cgroupsOf, describeEach, inCi } from './variants.js'

describeEach('thousands', ({ launch, sanitized }) => {
  const most = sanitized ? 500 : 2_000
  const many = inCi ? most : 300

  it('run at once and are all killed', async () => {
    const launcher = launch()
    const sleeps = Array.from({ length: many }, () => launcher.start({ file: '/bin/sleep', argv: ['sleep', '120'] }))
    const pids = await Promise.all(sleeps.map(({ started }) => started))
    assert.equal(new Set(pids).size, many)
    const listed = await launcher.list()
    assert.deepEqual(
      new Map(listed.map(({ id, pid }) => [id, pid])),
      new Map(sleeps.map(({ id }, i) => [id, pids[i] as number])),
    )
    launcher.kill(...sleeps)
    for (const { signal, survivors } of await Promise.all(sleeps.map(({ ended }) => ended))) {
      assert.deepEqual({ signal, survivors }, { signal: 9, survivors: 0 })
    }
    assert.deepEqual(await launcher.list(), [])
  })

  it('come and go', async () => {
    const launcher = launch()
    const trues = Array.from({ length: 2.5 * many }, () => launcher.start({ file: '/bin/true' }))
    const ends = await Promise.all(trues.map(({ ended }) => ended))
    assert.ok(ends.every(({ exitCode, signal }) => exitCode === 0 && signal === 0))
  })

  it('leave no descriptor, zombie or cgroup behind', async () => {
    const launcher = launch()
    const lines = ['exit 1', 'setsid sleep 60 & exit', 'sh -c "exit &"; echo', 'kill -9 $$', 'head -c 99999 /dev/zero']
    const round = async (count: number) => {
      const all = Array.from({ length: count }, (_, i) => launcher.script(lines[i % lines.length] as string))
      await Promise.all(all.map(({ ended }) => ended))
    }
    // An end is told before what the execution held is given back; whatever is asked after it is answered later.
    const givenBack = () => launcher.list()
    // Some cgroups are kept for reuse, each with its descriptors.
    const settled = async () => {
      await givenBack()
      await eventually('zombies are reaped', () => launcher.holdings().children === 0)
      return launcher.holdings().descriptors - perCgroup * cgroupsOf(launcher).length
    }
    await launcher.ready
    const none = launcher.holdings().descriptors
    const one = launcher.start({ file: '/bin/true' })
    await one.ended
    await givenBack()
    const spares = cgroupsOf(launcher).length
    const perCgroup = spares === 0 ? 0 : (launcher.holdings().descriptors - none) / spares
    for (let i = 0; i < 10; i++) await round(many / 20)
    assert.equal(await settled(), none)
    assert.ok(cgroupsOf(launcher).length <= 256, `${cgroupsOf(launcher).length} cgroups`)
  })

  it('of floods do not delay the kill of another', async () => {
    const launcher = launch()
    const floods = Array.from({ length: 20 }, () => launcher.script('exec cat /dev/zero', { credit: 2 ** 40 }))
    await Promise.all(floods.map(({ started }) => started))
    const victim = launcher.script('exec cat /dev/zero', { credit: 2 ** 40 })
    await eventually('all flood', () => [...floods, victim].every(({ outputLength }) => outputLength > 100_000), 30)
    // However much the reader itself has to get through: what comes after the kill is counted, not the time.
    launcher.stdout.pause()
    const begun = performance.now()
    launcher.kill(victim)
    const pid = await victim.started
    await eventually('it is gone', () => !launcher.children().includes(pid))
    assert.ok(performance.now() - begun < 5_000)
    launcher.stdout.resume()
    await victim.ended
    launcher.kill(...floods)
    await Promise.all(floods.map(({ ended }) => ended))
  })

  it('are told of by LIST at any time', async () => {
    const launcher = launch()
    const executions = Array.from({ length: 100 }, () => launcher.script('printf 12345; sleep 60', { credit: 3 }))
    const starts = launcher.list()
    await Promise.all(executions.map(({ started }) => started))
    await eventually('all have written', () => executions.every(({ outputLength }) => outputLength === 3))
    for (const { offset } of await launcher.list()) assert.equal(offset, 3)
    assert.ok((await starts).length <= 100)
    launcher.kill(...executions.slice(0, 50))
    await Promise.all(executions.slice(0, 50).map(({ ended }) => ended))
    const ids = (await launcher.list()).map(({ id }) => Number(id)).sort((a, b) => a - b)
    assert.deepEqual(
      ids,
      executions.slice(50).map(({ id }) => Number(id)),
    )
  })

  it('asked for in one piece are started in their order', async () => {
    const launcher = launch()
    const executions = Array.from({ length: 300 }, () => launcher.expect(0))
    launcher.send(...executions.map(({ id }) => startFrame(id, { file: '/bin/true' })))
    await Promise.all(executions.map(({ ended }) => ended))
    const started = launcher.events.filter(({ type }) => type === 'started').map(({ id }) => id)
    assert.deepEqual(
      started,
      executions.map(({ id }) => id),
    )
  })
})
