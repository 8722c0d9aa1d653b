import assert from 'node:assert/strict'
import { it } from 'node:test'
import { creditFrame, frame, killFrame, listFrame, longs, type Start, startFrame, Type, words } from './frames.js'
import { left } from './marks.js'
import { describeEach } from './variants.js'

const GARBAGE = /^flux-agent launcher: what came on standard input is not a request; everything is killed\n$/
const SLEEP: Start = { file: '/bin/sleep', argv: ['sleep', '60'], credit: 0 }
const TRUE: Start = { file: '/bin/true', env: ['A=1'], rlimits: [[4, 0, 0]], credit: 0 }

const BROKEN: [string, Buffer][] = [
  ['text', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['zeros', Buffer.alloc(16)],
  ['an unknown type', frame(5, 1)],
  ['the type of an event', frame(17, 1, words(1, 0))],
  ['the largest type', frame(2 ** 32 - 1, 1)],
  ['a payload longer than any may be', Buffer.concat([words(2 ** 23 + 1, Type.start), longs(1)])],
  ['the longest payload there can be', Buffer.concat([words(2 ** 32 - 1, Type.start), longs(1)])],
  ['a KILL with a payload', frame(Type.kill, 1, Buffer.from('x'))],
  ['a LIST with a payload', frame(Type.list, 1, longs(1))],
  ['a CREDIT without a payload', frame(Type.credit, 1)],
  ['a CREDIT of four bytes', frame(Type.credit, 1, words(1))],
  ['a CREDIT of nine bytes', frame(Type.credit, 1, Buffer.alloc(9))],
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
