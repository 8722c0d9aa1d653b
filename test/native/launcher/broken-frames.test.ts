import assert from 'node:assert/strict'
import { it } from 'node:test'
import {
  attachFrame,
  creditFrame,
  forgetFrame,
  frame,
  killFrame,
  leaveFrame,
  listFrame,
  longs,
  NO_LIMIT,
  type Start,
  startFrame,
  Type,
  words,
} from './frames.js'
import { left } from './marks.js'
import { describeEach } from './variants.js'

const GARBAGE = /^flux-agent launcher: what came on standard input is not a request; everything is killed\n$/
const SLEEP: Start = { file: '/bin/sleep', argv: ['sleep', '60'], credit: 0 }
const TRUE: Start = { file: '/bin/true', env: ['A=1'], rlimits: [[4, 0, 0]], credit: 0 }

const BROKEN: [string, Buffer][] = [
  ['text', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['zeros', Buffer.alloc(16)],
  ['an unknown type', frame(8, 1)],
  ['the type of an event', frame(17, 1, words(1, 0))],
  ['the largest type', frame(2 ** 32 - 1, 1)],
  ['a payload longer than any may be', Buffer.concat([words(2 ** 23 + 1, Type.start), longs(1)])],
  ['the longest payload there can be', Buffer.concat([words(2 ** 32 - 1, Type.start), longs(1)])],
  ['a KILL without a payload', frame(Type.kill, 1)],
  ['a KILL of three bytes', frame(Type.kill, 1, Buffer.alloc(3))],
  ['a KILL of eight bytes', frame(Type.kill, 1, longs(0))],
  ['a LIST with a payload', frame(Type.list, 1, longs(1))],
  ['a CREDIT without a payload', frame(Type.credit, 1)],
  ['a CREDIT of four bytes', frame(Type.credit, 1, words(1))],
  ['a CREDIT of nine bytes', frame(Type.credit, 1, Buffer.alloc(9))],
  ['an ATTACH without a payload', frame(Type.attach, 1)],
  ['an ATTACH of four bytes', frame(Type.attach, 1, words(1))],
  ['a FORGET with a payload', frame(Type.forget, 1, longs(0))],
  ['a LEAVE with a payload', frame(Type.leave, 0, words(0))],
]

/** Each of the first four has written ten bytes, of which `running` has four that are safe, and `ended` all. */
interface Ids {
  readonly running: bigint
  readonly ended: bigint
  readonly failed: bigint
  /** The others are kept. */
  readonly plain: bigint
  /** The others are attached. */
  readonly detached: bigint
}

const MISPLACED: [string, (ids: Ids) => Buffer][] = [
  ['a CREDIT of more than was told, by one byte', ({ running }) => creditFrame(running, 1)],
  ['a CREDIT of more than a number holds', ({ running }) => creditFrame(running, NO_LIMIT)],
  ['a CREDIT for an end without output', ({ ended }) => creditFrame(ended, 1)],
  ['a CREDIT for what has failed', ({ failed }) => creditFrame(failed, 1)],
  ['a CREDIT for what is not attached', ({ detached }) => creditFrame(detached, 1)],
  ['an ATTACH of what is attached', ({ running }) => attachFrame(running, 10)],
  ['an ATTACH of an end that is attached', ({ ended }) => attachFrame(ended, 10)],
  ['an ATTACH of what is not kept', ({ plain }) => attachFrame(plain, 10)],
  ['an ATTACH behind the end', ({ detached }) => attachFrame(detached, 11)],
  ['an ATTACH behind every end', ({ detached }) => attachFrame(detached, NO_LIMIT)],
  ['a FORGET of what lives', ({ running }) => forgetFrame(running)],
  ['a FORGET of what lives and is not attached', ({ detached }) => forgetFrame(detached)],
  ['a FORGET of what is not kept', ({ plain }) => forgetFrame(plain)],
  ['a START with the id of an end that is kept', ({ ended }) => startFrame(ended, TRUE)],
  ['a START with the id of a failure that is kept', ({ failed }) => startFrame(failed, TRUE)],
]

describeEach('the frames of requests', ({ launch }) => {
  it('may be cut anywhere', async () => {
    const launcher = launch()
    const { length } = Buffer.concat(requests(1n, 2n, 3n))
    for (let cut = 1; cut < length; cut++) {
      const [one, two] = [launcher.expect(5), launcher.expect(0)]
      const list = launcher.expectList()
      const stream = Buffer.concat(requests(one.id, two.id, list.id))
      await launcher.sendAndSeeRead(stream.subarray(0, cut))
      launcher.send(stream.subarray(cut))
      assert.equal((await one.ended).exitCode, 0)
      const outcome = await two.done
      if ('step' in outcome) assert.equal(outcome.step, 'CANCELLED')
      else assert.equal(outcome.signal, 9)
      await list.listed
    }
  })

  it('may come byte by byte', async () => {
    const launcher = launch()
    const [one, two] = [launcher.expect(5), launcher.expect(0)]
    const list = launcher.expectList()
    for (const byte of Buffer.concat(requests(one.id, two.id, list.id))) {
      await launcher.sendAndSeeRead(Buffer.from([byte]))
    }
    await Promise.all([one.ended, two.done, list.listed])
  })

  it('that are about what is not known are ignored, as long as they are whole', async () => {
    const launcher = launch()
    const id = 4711
    launcher.send(attachFrame(id, 5), forgetFrame(id), forgetFrame(0), creditFrame(id, NO_LIMIT), killFrame(id, 7))
    assert.deepEqual(await launcher.list(), [])
    launcher.send(leaveFrame())
    assert.deepEqual(await launcher.exited, { code: 0, signal: null })
  })

  it('end with an ATTACH before what is kept', async () => {
    const launcher = launch({ survives: 60_000 })
    const execution = launcher.kept('printf 0123456789; sleep 60')
    await execution.outputUntil('9')
    launcher.credit(execution, 5)
    launcher.disconnect()
    await launcher.connect()
    launcher.send(attachFrame(execution.id, 4))
    assert.deepEqual(await launcher.exited, { code: 2, signal: null })
    assert.deepEqual(left(), [])
  })

  for (const [what, bytes] of BROKEN) {
    it(`that are none have it kill everything and leave with 2, saying so once: ${what}`, async () => {
      const launcher = launch({ says: GARBAGE })
      const executions = ['sleep 60', '(setsid sleep 60 &) ; sleep 60'].map((lines) =>
        launcher.script(`echo $$; ${lines}`),
      )
      await Promise.all(executions.map((execution) => execution.numbers()))
      launcher.send(bytes, startFrame(1_000, SLEEP))
      assert.deepEqual(await launcher.exited, { code: 2, signal: null })
      for (const { ended } of executions) assert.equal((await ended).signal, 9)
      assert.deepEqual(left(), [])
    })
  }

  for (const [what, requests] of MISPLACED) {
    it(`that are misplaced are none: ${what}`, async () => {
      const launcher = launch({ survives: 60_000 })
      const credit = 100
      const all = {
        running: launcher.kept('printf 0123456789; sleep 60', { credit }),
        ended: launcher.kept('printf 0123456789', { credit }),
        failed: launcher.start({ file: '/nonexistent', kept: true }),
        plain: launcher.script('printf 0123456789; sleep 60', { credit }),
        detached: launcher.kept('printf 0123456789; sleep 60', { credit }),
      }
      const { running, ended, failed, plain, detached } = all
      await Promise.all([running.outputUntil('9'), ended.ended, failed.failed, plain.outputUntil('9')])
      await detached.outputUntil('9')
      launcher.credit(running, 4)
      launcher.credit(ended, 10)
      launcher.disconnect()
      await launcher.connect()
      for (const execution of [running, ended, failed]) launcher.attach(execution)
      const again = launcher.script('printf 0123456789; sleep 60', { credit })
      await Promise.all([running.started, ended.ended, failed.failed, again.outputUntil('9')])
      // It is served up to what is misplaced.
      assert.equal((await launcher.list()).length, 5)
      const ids = { running: running.id, ended: ended.id, failed: failed.id, plain: again.id, detached: detached.id }
      launcher.send(requests(ids))
      assert.deepEqual(await launcher.exited, { code: 2, signal: null })
      assert.deepEqual(left(), [])
    })
  }

  it('that use the id of one that lives are none', async () => {
    const launcher = launch({ says: GARBAGE })
    const execution = launcher.start(SLEEP)
    await execution.started
    launcher.send(startFrame(execution.id, TRUE))
    assert.deepEqual(await launcher.exited, { code: 2, signal: null })
    assert.equal((await execution.ended).signal, 9)
  })

  it('that use the id of one that waits to be started are none', async () => {
    const launcher = launch({ says: GARBAGE })
    const execution = launcher.expect(0)
    launcher.send(startFrame(execution.id, SLEEP), startFrame(execution.id, SLEEP))
    assert.deepEqual(await launcher.exited, { code: 2, signal: null })
    assert.deepEqual(await execution.failed, { step: 'CANCELLED', errno: 125 })
  })
})

/** Five requests, of which the last is answered last. */
function requests(one: bigint, two: bigint, list: bigint): Buffer[] {
  return [startFrame(one, TRUE), startFrame(two, SLEEP), creditFrame(two, 10), killFrame(two), listFrame(list)]
}
