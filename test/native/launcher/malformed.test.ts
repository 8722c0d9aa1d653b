import assert from 'node:assert/strict'
import { constants } from 'node:os'
import { it } from 'node:test'
import { frame, type Start, startPayload, Type } from './frames.js'
import { describeEach } from './variants.js'

const START: Start = { file: '/bin/true', argv: ['true', 'x'], env: ['A=1', 'B=2'], rlimits: [[7, 64, 64]] }
const GOOD = startPayload(START)
const NOTED = startPayload({ ...START, note: 'note' })
/** Where the counts stand in the fixed part, and how long that is. */
const AT = { rlimits: 52, groups: 56, argc: 60, envc: 64, note: 68 }
const FIXED = 72

function withCount(at: number, count: number, good = GOOD): Buffer {
  const payload = Buffer.from(good)
  payload.writeUInt32LE(count, at)
  return payload
}

const CASES: [string, Buffer][] = [
  ['nothing', Buffer.alloc(0)],
  ['one byte', Buffer.from('x')],
  ['the fixed part alone', GOOD.subarray(0, FIXED)],
  ['no last NUL', GOOD.subarray(0, -1)],
  ['one NUL too many', Buffer.concat([GOOD, Buffer.from([0])])],
  ['a note that is cut off', NOTED.subarray(0, -1)],
  ['a note longer than what it fills', withCount(AT.note, 5, NOTED)],
  ['a note shorter than what it fills', withCount(AT.note, 3, NOTED)],
  ['a note without the NUL before it', Buffer.concat([NOTED.subarray(0, -5), NOTED.subarray(-4)])],
  ['a note that is all', withCount(AT.note, NOTED.length, NOTED)],
  ['a note longer than the payload', withCount(AT.note, NOTED.length + 1, NOTED)],
  ['one string too many', Buffer.concat([GOOD, Buffer.from('more\0')])],
  ['something behind the last string', Buffer.concat([GOOD, Buffer.from('more')])],
  ['strings without any NUL', Buffer.concat([GOOD.subarray(0, FIXED + 24), Buffer.alloc(1_000, 'x')])],
  ['nothing but NULs, too many', Buffer.concat([GOOD.subarray(0, FIXED + 24), Buffer.alloc(1_000)])],
  ['no argument', withCount(AT.argc, 0)],
  ...Object.entries(AT).flatMap(([name, at]) =>
    [1_000, 1_001, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32 - 4, 0xaaaaaaab].map((count): [string, Buffer] => [
      `${count} ${name}`,
      withCount(at, count),
    ]),
  ),
  ['one argument too many', withCount(AT.argc, 3)],
  ['one variable too many', withCount(AT.envc, 3)],
  ['one limit too many', withCount(AT.rlimits, 2)],
  ['counts whose sizes add up to little more than 2^32', countsOf(178_956_971, 0, 1, 1)],
  ['counts whose sum wraps around', countsOf(0, 0, 2 ** 32 - 1, 3)],
  ...Array.from({ length: GOOD.length }, (_, i): [string, Buffer] => [`the first ${i} bytes`, GOOD.subarray(0, i)]),
]

function countsOf(...counts: number[]): Buffer {
  const payload = Buffer.from(GOOD)
  counts.forEach((count, i) => {
    payload.writeUInt32LE(count, AT.rlimits + 4 * i)
  })
  return payload
}

describeEach('a START', ({ launch }) => {
  it('whose payload is none fails with REQUEST, and the next one works', async () => {
    const launcher = launch()
    assert.equal(await launcher.expectStart(GOOD).result(), '')
    const failures = CASES.map(([, payload]) => launcher.expectStart(payload).failed)
    for (const [i, failure] of (await Promise.all(failures)).entries()) {
      assert.deepEqual(failure, { step: 'REQUEST', errno: constants.errno.EINVAL }, CASES[i]?.[0])
    }
    assert.equal(await launcher.expectStart(GOOD).result(), '')
  })

  it('that was none leaves its id free', async () => {
    const launcher = launch()
    const first = launcher.expect(0, 77n)
    launcher.send(frame(Type.start, 77n, Buffer.alloc(3)))
    assert.equal((await first.failed).step, 'REQUEST')
    assert.equal(await launcher.start({ file: '/bin/true' }, 77n).result(), '')
  })

  it('may be as long as a payload can be', async () => {
    const launcher = launch()
    const size = 2 ** 23 - startPayload({ file: '/bin/true', env: [''] }).length
    const execution = launcher.start({ file: '/bin/true', env: ['x'.repeat(size)] })
    assert.deepEqual(await execution.failed, { step: 'EXEC', errno: constants.errno.E2BIG })
    assert.equal(await launcher.start({ file: '/bin/true' }).result(), '')
  })

  it('may have any id that is free', async () => {
    const launcher = launch()
    for (const id of [0n, 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n, 1n]) {
      assert.equal(await launcher.start({ file: '/bin/true' }, id).result(), '')
    }
  })
})
