import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { Lost } from '../../../src/workers/execution/output.js'
import { ANSWER_MAX_BYTES, type ReadableOutput, recordJson } from '../../../src/workers/execution/record-json.js'
import { ended, noise } from '../../store/records.js'
import { split, splits } from './splits.js'

const RECORD = ended('id')
const LIMIT = 20_000

/** An output that is read in these chunks. */
function outputOf(chunks: readonly Buffer[]): ReadableOutput {
  const whole = Buffer.concat(chunks)
  const ends: number[] = []
  for (const chunk of chunks) ends.push((ends.at(-1) ?? 0) + chunk.length)
  return {
    length: whole.length,
    read: async (offset) => whole.subarray(offset, ends.find((end) => end > offset) ?? whole.length),
  }
}

async function answered(output: ReadableOutput, max?: number) {
  const json = await recordJson(RECORD, output, max)
  const { output: text = '', ...record } = JSON.parse(json.toString()) as Record<string, string>
  assert.deepEqual(record, RECORD)
  return { json, text }
}

const decoded = (bytes: Buffer) => new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)

const pieces = fc.oneof(
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
  fc.constantFrom('\ufeff', '𝄞', '"\\\n\r\t\0', '\u2028', '\x7f').map((text) => Buffer.from(text)),
)

describe('recordJson', () => {
  it('answers any bytes as the text they are, however they are split', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(pieces, { maxLength: 20 }), splits, async (pieces, cuts) => {
        const bytes = Buffer.concat(pieces)
        const { text } = await answered(outputOf(split(bytes, cuts)))
        assert.equal(text, decoded(bytes))
      }),
      { numRuns: 500 },
    )
  })

  it('marks what is lost, and completes no character across it', async () => {
    const bytes = Buffer.from('aé€z')
    const read = async (offset: number) => (offset === 2 ? new Lost(2) : bytes.subarray(offset, offset < 2 ? 2 : 7))
    const { text } = await answered({ length: 7, read })
    assert.equal(text, 'a\ufffd\n[flux-agent: 2 bytes of output lost]\n\ufffd\ufffdz')
  })

  it('does not damage a character that is cut anywhere', async () => {
    const bytes = Buffer.from('aé€𝄞z')
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { text } = await answered(outputOf([bytes.subarray(0, cut), bytes.subarray(cut)]))
      assert.equal(text, 'aé€𝄞z')
    }
  })

  it('shows invalid bytes as U+FFFD, and a character that the end cuts off', async () => {
    const bytes = Buffer.concat([Buffer.from([0x61, 0xff, 0x62]), Buffer.from('€').subarray(0, 2)])
    assert.equal((await answered(outputOf([bytes]))).text, 'a\ufffdb\ufffd')
  })

  it('leaves an empty output out', async () => {
    assert.deepEqual(JSON.parse((await recordJson(RECORD, outputOf([]))).toString()), RECORD)
  })

  it('ends with what the output was when it began, while that grows', async () => {
    const growing = { length: 3, read: async (offset: number) => Buffer.from('abcdef').subarray(offset) }
    assert.equal((await answered(growing)).text, 'abc')
  })

  it('never exceeds the limit, with the first part, a mark and the last part', async () => {
    const unit = fc.constantFrom('a', '\x01', 'é', '"', '\ufffd')
    const parts = fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 40, size: 'max' })
    await fc.assert(
      fc.asyncProperty(unit, parts, async (unit, parts) => {
        const text = unit.repeat(parts.reduce((sum, length) => sum + length, 0))
        const { json, text: shown } = await answered(
          outputOf(parts.map((length) => Buffer.from(unit.repeat(length)))),
          LIMIT,
        )
        assert.ok(json.length <= LIMIT, `${json.length} bytes`)
        if (shown === text) return
        const [, head, leftOut, tail] =
          /^(.*)\n\[flux-agent: (\d+) bytes of output left out\]\n(.*)$/s.exec(shown) ?? []
        assert.ok(head !== undefined && tail !== undefined, 'no mark')
        assert.ok(text.startsWith(head) && text.endsWith(tail), 'not the first and the last part')
        assert.equal(Number(leftOut), Buffer.byteLength(text) - Buffer.byteLength(head + tail))
      }),
      { numRuns: 300 },
    )
  })

  it('takes nothing that comes after a gap for the first part', async () => {
    const wide = Buffer.alloc(LIMIT, '-')
    const { text } = await answered(outputOf([Buffer.from('first'), wide, Buffer.from('last')]), LIMIT)
    assert.equal(text, `first\n[flux-agent: ${LIMIT} bytes of output left out]\nlast`)
  })

  it('keeps most of what the limit allows', async () => {
    const chunks = Array.from({ length: 100 }, () => Buffer.alloc(1_000, 1))
    const { json } = await answered(outputOf(chunks), 200_000)
    assert.ok(json.length > 180_000, `${json.length} bytes`)
  })

  it('stays below the message limit where every byte takes six', async () => {
    const block = Buffer.alloc(65_536, 1)
    const { json, text } = await answered(outputOf(Array.from({ length: 320 }, () => block)))
    assert.ok(json.length <= ANSWER_MAX_BYTES && json.length > ANSWER_MAX_BYTES - 2_000_000, `${json.length} bytes`)
    assert.match(text, /\u0001\n\[flux-agent: \d+ bytes of output left out\]\n\u0001/)
  })

  it('is valid JSON for noise', async () => {
    const { text } = await answered(outputOf(split(noise(300_000), [100, 300, 500])))
    assert.equal(text, decoded(noise(300_000)))
  })
})
