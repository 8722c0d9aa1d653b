import assert from 'node:assert/strict'
import { it } from 'node:test'
import { eventually } from '../../../harness/eventually.js'
import { isRunning } from '../../../harness/processes.js'
import { helper, noCompiler } from './builds.js'
import { describeEach, NOBODY, needsRoot } from './variants.js'
import { withinSeconds } from './within.js'

const STARTS = 200
const LIMIT_SECONDS = 30
const user = { user: NOBODY }
const SLEEP = { file: '/bin/sleep', argv: ['sleep', '120'], ...user }

describeEach('a program that harms others of its user', ({ launch }) => {
  for (const signal of ['STOP', 'KILL', 'TERM']) {
    it(`cannot keep the launcher from its work by SIG${signal} to all, all the time`, { skip: needsRoot }, async () => {
      const launcher = launch()
      const storm = launcher.script(`trap "" TERM; echo on; while :; do kill -${signal} -1; done 2>/dev/null`, user)
      await storm.outputUntil('on\n')
      const starts = Array.from({ length: STARTS }, () => launcher.start(SLEEP))
      await withinSeconds('each is answered', LIMIT_SECONDS, Promise.all(starts.map(({ answered }) => answered)))
      launcher.kill(storm, ...starts)
      await withinSeconds('each is over', LIMIT_SECONDS, Promise.all([storm, ...starts].map(({ done }) => done)))
      assert.equal(await launcher.script('echo works', user).result(), 'works\n')
    })
  }

  const skip = needsRoot || noCompiler
  it('cannot keep the launcher from its work by tracing its own leader from afar', { skip }, async () => {
    const launcher = launch()
    const execution = launcher.script(`(setsid ${helper('trace')} $$ &); sleep 60`, user)
    const [tracer] = await execution.numbers()
    launcher.kill(execution)
    const { signal, survivors } = await withinSeconds('the end', LIMIT_SECONDS, execution.ended)
    assert.deepEqual({ signal, survivors }, { signal: 9, survivors: 0 })
    assert.equal(isRunning(tracer as number), false)
    assert.equal(await launcher.script('exit 0').result(), '')
  })

  it('cannot keep the launcher from its work by tracing the leader of another', { skip }, async () => {
    const launcher = launch()
    const victim = launcher.start(SLEEP)
    const pid = await victim.started
    const tracer = launcher.start({ file: helper('trace'), argv: ['trace', `${pid}`], ...user })
    await tracer.numbers()
    launcher.kill(victim)
    const end = victim.ended
    await eventually('it is dead', () => !isRunning(pid))
    // In the meantime the others are served.
    for (let i = 0; i < 20; i++) assert.equal(await launcher.script('echo served').result(), 'served\n')
    assert.equal(victim.over, false)
    const { signal, survivors } = await end
    assert.deepEqual({ signal, survivors }, { signal: 9, survivors: 1 })
    launcher.kill(tracer)
    await tracer.ended
    await eventually('it is reaped', () => launcher.holdings().children === 0)
  })

  it('and lets go in time does not hide how the other has ended', { skip }, async () => {
    const launcher = launch()
    const victim = launcher.script('exec sleep 60', user)
    const pid = await victim.started
    const tracer = launcher.start({ file: helper('trace'), argv: ['trace', `${pid}`], ...user })
    await tracer.numbers()
    launcher.kill(victim)
    launcher.kill(tracer)
    assert.deepEqual(
      (await Promise.all([victim.ended, tracer.ended])).map(({ signal, survivors }) => [signal, survivors]),
      [
        [9, 0],
        [9, 0],
      ],
    )
  })
})
