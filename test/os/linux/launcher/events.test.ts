import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { EventParser, type LauncherEvents } from '../../../../src/os/linux/launcher/events.js'

const LARGE_ID = 2 ** 40 + 5

describe('events of the launcher', () => {
  const stream = Buffer.concat([
    frame(16, 0, words(3, 3)),
    frame(17, 7, words(4711, 0)),
    frame(18, 7, Buffer.concat([longs(0), Buffer.from('hello')])),
    frame(17, LARGE_ID, words(4712, 0)),
    frame(18, LARGE_ID, Buffer.concat([longs(LARGE_ID), Buffer.alloc(70_000, 'x')])),
    frame(20, 9, words(14, 2, 0, 0)),
    frame(19, 7, Buffer.concat([words(3, 0), longs(1_500, 500, 2_048, 0, 0, 1_234_567), words(0, 0, 0, 0)])),
    frame(
      19,
      LARGE_ID,
      Buffer.concat([words(0, 9), longs(0, 0, 1_024, 9_000_000, 33 * 2 ** 20, 1), words(1, 0, 2, 0)]),
    ),
    frame(19, 8, Buffer.concat([words(0, 9), longs(0, 0, 1, 0, 0, 0), words(0, 17, 0, 1, 31, 32)])),
    frame(20, 10, words(2, 125, 2, 0, 33)),
    frame(21, 11, Buffer.concat([longs(5, LARGE_ID, 9), words(4713, 2, 0, 32), Buffer.from('a note')])),
    frame(21, 12, Buffer.concat([longs(0, 0, 0), words(4714, 2, 0, 1), Buffer.from('not kept')])),
    frame(21, LARGE_ID, Buffer.concat([longs(0, 0, 0), words(0, 1, 3, 63)])),
    frame(99, 1, words(1)),
    frame(22, 0, words()),
  ])
  const expected = [
    'ready 3',
    'started 7 4711',
    'output 7 hello',
    `started ${LARGE_ID} 4712`,
    `output ${LARGE_ID} ${'x'.repeat(70_000)}`,
    'failed 9 exec ENOENT',
    'ended 7 {"durationMs":1234.567,"use":{"cpuMs":2,"maxRssKb":2048},"kind":"exited","code":3}',
    `ended ${LARGE_ID} {"durationMs":0.001,"use":{"cpuMs":9000,"maxRssKb":33792},"outOfMemory":"own limit","oomKills":2,"kind":"killed","signal":"SIGKILL"}`,
    'ended 8 {"durationMs":0,"cause":"timeout","use":{"cpuMs":0,"maxRssKb":1},"survivors":{"count":17,"pids":[31,32]},"kind":"killed","signal":"SIGKILL"}',
    'failed 10 cancelled ECANCELED cancelled 33',
    `listed 11 4713 5-${LARGE_ID} "a note"`,
    `listed ${LARGE_ID} undefined 0-0 ""`,
    'list end',
  ]

  it('are told in their order however the stream is cut', () => {
    const cuts = fc.array(fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: stream.length })))
    fc.assert(
      fc.property(cuts, (cuts) => {
        assert.deepEqual(
          parse(
            stream,
            [...cuts].sort((a, b) => a - b),
          ),
          expected,
        )
      }),
    )
  })

  it('are told byte by byte as well', () => {
    const small = stream.subarray(0, 200)
    const all = Array.from({ length: 200 }, (_, i) => i)
    assert.deepEqual(parse(small, all).slice(0, 3), expected.slice(0, 3))
  })

  it('give output as parts of what was read, not copied', () => {
    const outputs: Buffer[] = []
    const parser = new EventParser({ ...silent, output: (_, bytes) => outputs.push(bytes) })
    const chunk = frame(18, 1, Buffer.concat([Buffer.alloc(8), Buffer.from('hello')]))
    parser.push(chunk)
    assert.equal(outputs[0]?.buffer, chunk.buffer)
    assert.equal(outputs[0]?.toString(), 'hello')
  })
})

const silent: LauncherEvents = {
  ready: () => {},
  started: () => {},
  output: () => {},
  ended: () => {},
  failed: () => {},
  listed: () => {},
  listEnd: () => {},
}

/** What is told, in words; adjacent pieces of one output joined. */
function parse(stream: Buffer, cuts: readonly number[]): string[] {
  const told: string[] = []
  let open: number | undefined
  const say = (line: string) => {
    open = undefined
    told.push(line)
  }
  const parser = new EventParser({
    ready: (version) => say(`ready ${version}`),
    started: (id, pid) => say(`started ${id} ${pid}`),
    output: (id, bytes) => {
      if (open === id) told.push(`${told.pop()}${bytes}`)
      else say(`output ${id} ${bytes}`)
      open = id
    },
    ended: (id, end) => say(`ended ${id} ${JSON.stringify(end)}`),
    failed: (id, { step, code, cause, survivors }) =>
      say(['failed', id, step, code, ...(cause ? [cause] : []), ...survivors].join(' ')),
    listed: ({ number, pid, keptFrom, outputLength, note }) =>
      say(`listed ${number} ${pid} ${keptFrom}-${outputLength} ${JSON.stringify(Buffer.from(note).toString())}`),
    listEnd: () => say('list end'),
  })
  let from = 0
  for (const to of [...cuts, stream.length]) {
    const piece = Buffer.from(stream.subarray(from, to))
    if (to > from) parser.push(piece)
    // As the next read would.
    piece.fill('?')
    from = Math.max(from, to)
  }
  return told
}

function frame(type: number, id: number, payload: Buffer): Buffer {
  return Buffer.concat([words(payload.length, type), longs(id), payload])
}

function words(...values: number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => {
    buffer.writeUInt32LE(value, 4 * i)
  })
  return buffer
}

function longs(...values: number[]): Buffer {
  const buffer = Buffer.alloc(8 * values.length)
  values.forEach((value, i) => {
    buffer.writeBigUInt64LE(BigInt(value), 8 * i)
  })
  return buffer
}
