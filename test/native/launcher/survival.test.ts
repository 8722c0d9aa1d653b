import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import type { Execution } from './execution.js'
import { Cause, Flag, frame, listFrame, State, startFrame, Type } from './frames.js'
import type { Launcher } from './launcher-under-test.js'
import { DEFAULT_ENV } from './marks.js'
import { describeEach } from './variants.js'

const SURVIVES = { survives: 60_000 }
const SIGKILL = 9

const idsOf = (executions: readonly Execution[]) => executions.map(({ id }) => id).sort()
const listedIds = async (launcher: Launcher) => (await launcher.list()).map(({ id }) => id).sort()

describeEach(
  'a launcher that survives its connection',
  ({ launch }) => {
    it('goes on with what is kept, and kills the rest at once, which nobody is told of', async () => {
      const launcher = launch(SURVIVES)
      const lines = '(setsid sleep 60 & echo $!) ; sleep 60'
      const kept = Array.from({ length: 5 }, () => launcher.kept(lines))
      const others = Array.from({ length: 5 }, () => launcher.script(lines))
      const pidsOf = async (executions: Execution[]) => [
        ...(await Promise.all(executions.map(({ started }) => started))),
        ...(await Promise.all(executions.map((execution) => execution.numbers()))).flat(),
      ]
      const [keptPids, otherPids] = [await pidsOf(kept), await pidsOf(others)]
      launcher.disconnect()
      await eventually('the others are dead', () => !otherPids.some(isRunning))
      await launcher.connect()
      const before = launcher.events.length
      assert.deepEqual(await listedIds(launcher), idsOf(kept))
      for (const execution of kept) launcher.attach(execution)
      assert.deepEqual(await Promise.all(kept.map(({ started }) => started)), keptPids.slice(0, kept.length))
      assert.ok(keptPids.every(isRunning))
      launcher.kill(...kept)
      for (const { signal } of await Promise.all(kept.map(({ ended }) => ended))) assert.equal(signal, SIGKILL)
      assert.ok(!keptPids.some(isRunning))
      const told = new Set(launcher.events.slice(before).map(({ id }) => id))
      for (const { id } of others) assert.equal(told.has(id), false)
    })

    it('starts what waits and is kept, and nothing else', async () => {
      const launcher = launch(SURVIVES)
      const kept = Array.from({ length: 40 }, () => launcher.expect(0, undefined, true))
      const others = Array.from({ length: 40 }, () => launcher.expect(0))
      const start = { file: '/bin/sleep', argv: ['sleep', '60'], env: DEFAULT_ENV, credit: 0 }
      // In one write: hardly any has been started when the connection ends.
      const frames = kept.flatMap(({ id }, i) => [
        startFrame((others[i] as Execution).id, start),
        startFrame(id, { ...start, kept: true }),
      ])
      launcher.send(...frames)
      await launcher.ready
      launcher.disconnect()
      await launcher.connect()
      for (const execution of kept) launcher.attach(execution)
      const pids = await Promise.all(kept.map(({ started }) => started))
      await eventually('only these run', () => launcher.children().length === kept.length)
      assert.deepEqual(new Set(launcher.children()), new Set(pids))
      assert.deepEqual(await listedIds(launcher), idsOf(kept))
    })

    it('lists what it knows of each', async () => {
      const launcher = launch(SURVIVES)
      const [file, argv] = ['/bin/sh', (lines: string) => ['sh', '-c', lines]] as const
      const running = launcher.kept('echo 12345; sleep 60', { note: 'runs \0\xff', credit: 100 })
      const ended = launcher.start({ file, argv: argv('echo x; exit 3'), kept: true, note: 'n'.repeat(70_000) })
      const killed = launcher.kept('sleep 60')
      const failed = launcher.start({ file: '/nonexistent', kept: true })
      const plain = launcher.script('sleep 60', { flags: Flag.noNewPrivs })
      await Promise.all([killed.started, plain.started, running.outputUntil('\n'), ended.ended, failed.failed])
      launcher.killFor(7, killed)
      launcher.killFor(8, killed)
      await killed.ended
      launcher.credit(running, 2)
      const listed = new Map((await launcher.list()).map(({ ageMs, ...listed }) => [listed.id, listed]))
      const common = { kept: 0, cause: Cause.none, flags: Flag.kept, note: '' }
      const expected = [
        { ...common, id: running.id, kept: 2, offset: 6, pid: await running.started, state: State.running },
        { ...common, id: ended.id, offset: 2, pid: await ended.started, state: State.ended },
        { ...common, id: killed.id, offset: 0, pid: await killed.started, state: State.ended, cause: 7 },
        { ...common, id: failed.id, offset: 0, pid: 0, state: State.ended },
        { ...common, id: plain.id, offset: 0, pid: await plain.started, state: State.running, flags: Flag.noNewPrivs },
      ]
      const notes = ['runs \0\xff', 'n'.repeat(70_000), '', '', '']
      assert.deepEqual(listed, new Map(expected.map((entry, i) => [entry.id, { ...entry, note: notes[i] }])))
    })

    it('lists how old each is', async () => {
      const launcher = launch(SURVIVES)
      const [running, ended] = [launcher.kept('sleep 60'), launcher.kept('sleep 0.2')]
      const { durationUs } = await ended.ended
      await running.started
      const ages = async () => new Map((await launcher.list()).map(({ id, ageMs }) => [id, ageMs]))
      const begun = performance.now()
      const before = await ages()
      await sleep(100)
      const after = await ages()
      const passed = performance.now() - begun
      assert.equal(before.get(ended.id), Math.floor(durationUs / 1000))
      assert.equal(after.get(ended.id), before.get(ended.id))
      assert.ok(durationUs >= 200_000)
      const older = (after.get(running.id) ?? 0) - (before.get(running.id) ?? 0)
      assert.ok(older >= 99 && older <= passed + 1, `${older} ms`)
    })

    it('tells the next connection what the last one has not read', async () => {
      const launcher = launch({ ...SURVIVES, unread: true })
      const running = launcher.kept('echo running; sleep 60')
      const ended = launcher.kept('echo ended; exit 5')
      const failed = launcher.start({ file: '/nonexistent', kept: true })
      const refused = launcher.expect(0)
      launcher.send(frame(Type.start, refused.id, Buffer.alloc(8)))
      await eventually('one is left', () => launcher.children().length === 1)
      await launcher.idles()
      launcher.disconnect()
      await launcher.connect()
      assert.deepEqual(await listedIds(launcher), idsOf([running, ended, failed]))
      for (const execution of [running, ended, failed]) launcher.attach(execution)
      assert.ok(isRunning(await running.started))
      await running.outputUntil('running\n')
      assert.equal((await ended.ended).exitCode, 5)
      assert.equal(ended.output(), 'ended\n')
      assert.deepEqual(await failed.failed, { step: 'EXEC', errno: constants.errno.ENOENT })
    })

    it('keeps each end until FORGET, over any number of connections', async () => {
      const launcher = launch(SURVIVES)
      const ended = launcher.kept('echo x; exit 5')
      const failed = launcher.start({ file: '/nonexistent', kept: true })
      await Promise.all([ended.ended, failed.failed])
      for (let connection = 0; connection < 3; connection++) {
        launcher.disconnect()
        await launcher.connect()
        for (const execution of [ended, failed]) launcher.attach(execution, 0)
        // What is told again is held against what was told before.
        await Promise.all([ended.ended, failed.failed])
      }
      launcher.forget(ended, failed)
      assert.deepEqual(await launcher.list(), [])
      // Their ids are free.
      assert.equal(await launcher.script('echo new', {}).result(), 'new\n')
      assert.equal(await launcher.start({ file: '/bin/true' }, ended.id).result(), '')
    })

    it('may be told to forget what it has not told', async () => {
      const launcher = launch(SURVIVES)
      const execution = launcher.kept('echo x; sleep 0.1; head -c 300000 /dev/zero')
      await execution.started
      launcher.disconnect()
      await launcher.connect()
      await eventually('it has ended', async () => (await launcher.list())[0]?.state === State.ended)
      launcher.forget(execution)
      assert.deepEqual(await launcher.list(), [])
    })

    it('serves the requests that have come whole before the end, and no part of one', async () => {
      const launcher = launch(SURVIVES)
      const execution = launcher.kept('sleep 60')
      const late = launcher.expect(0, undefined, true)
      await execution.started
      for (let cut = 0; cut < listFrame(1).length; cut++) {
        const start = { file: '/bin/sleep', argv: ['sleep', '60'], env: DEFAULT_ENV, kept: true }
        const whole = cut === 0 ? [startFrame(late.id, start)] : []
        await new Promise<void>((resolve) => {
          launcher.requests.end(Buffer.concat([...whole, listFrame(1).subarray(0, cut)]), resolve)
        })
        launcher.disconnect()
        await launcher.connect()
        assert.deepEqual(await listedIds(launcher), idsOf([execution, late]))
      }
    })

    it('serves them also where it finds by writing that the connection has ended', async () => {
      const launcher = launch(SURVIVES)
      // More ends than it hears of at once: it tells the first ones before it looks at its requests.
      const leaders = Array.from({ length: 100 }, () => launcher.kept('exec sleep 60'))
      const pids = await Promise.all(leaders.map(({ started }) => started))
      const late = launcher.expect(0, undefined, true)
      launcher.signal('SIGSTOP')
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      await eventually('all are dead', () => !pids.some(isRunning))
      launcher.send(startFrame(late.id, { file: '/bin/sleep', argv: ['sleep', '60'], env: DEFAULT_ENV, kept: true }))
      launcher.disconnect()
      launcher.signal('SIGCONT')
      await launcher.connect()
      assert.deepEqual(await listedIds(launcher), idsOf([...leaders, late]))
      launcher.attach(late)
      assert.ok(isRunning(await late.started))
    })

    it('lets go of the streams that it was started with', async () => {
      const launcher = launch(SURVIVES)
      const execution = launcher.kept('sleep 60')
      await execution.started
      launcher.disconnect()
      await launcher.silent
      await launcher.connect()
      launcher.attach(execution)
      assert.ok(isRunning(await execution.started))
    })

    it('ends with the loss of either stream', async () => {
      for (const stream of ['stdin', 'stdout'] as const) {
        const launcher = launch(SURVIVES)
        const [kept, other] = [launcher.kept('sleep 60'), launcher.script('sleep 60')]
        const pids = await Promise.all([kept.started, other.started])
        launcher[stream].destroy()
        await launcher.silent
        launcher.disconnect()
        await launcher.connect()
        assert.deepEqual(await listedIds(launcher), idsOf([kept]))
        assert.ok(isRunning(pids[0]))
      }
    })

    it('kills for a cause, the first one, whoever gives it', async () => {
      const launcher = launch(SURVIVES)
      const [one, two] = [launcher.kept('sleep 60'), launcher.kept('sleep 60')]
      await Promise.all([one.started, two.started])
      launcher.killFor(2 ** 32 - 1, one)
      launcher.killFor(Cause.own, one)
      await one.ended
      launcher.disconnect()
      await launcher.connect()
      launcher.killFor(Cause.own, one, two)
      for (const execution of [one, two]) launcher.attach(execution)
      assert.equal((await one.ended).cause, 2 ** 32 - 1)
      assert.equal((await two.ended).cause, Cause.own)
      assert.equal((await one.ended).signal, SIGKILL)
    })

    it('says why a start was cancelled', async () => {
      const launcher = launch(SURVIVES)
      const executions = Array.from({ length: 50 }, () => launcher.expect(0, undefined, true))
      const start = { file: '/bin/sleep', argv: ['sleep', '60'], env: DEFAULT_ENV, kept: true }
      launcher.send(...executions.map(({ id }) => startFrame(id, start)))
      launcher.killFor(9, ...executions)
      const outcomes = await Promise.all(executions.map(({ done }) => done))
      assert.ok(outcomes.some((outcome) => 'step' in outcome))
      for (const { cause } of outcomes) assert.equal(cause, 9)
    })
  },
  { fallbacks: true },
)

describeEach('without a socket, an execution with START_KEPT', ({ launch }) => {
  it('is known until FORGET, but ends with the connection', async () => {
    const launcher = launch()
    const [ended, running] = [launcher.kept('exit 4'), launcher.kept('echo x; sleep 60')]
    await Promise.all([ended.ended, running.outputUntil('x')])
    assert.deepEqual(await listedIds(launcher), idsOf([ended, running]))
    launcher.forget(ended)
    assert.deepEqual(await listedIds(launcher), idsOf([running]))
    launcher.stdin.end()
    assert.equal((await running.ended).signal, SIGKILL)
    assert.deepEqual(await launcher.exited, { code: 0, signal: null })
  })
})
