import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { leftOutMark, OutputCap, TAIL_BYTES } from '../../../src/workers/execution/output-cap.js'
import { noise } from '../../store/records.js'
import { split, splits } from './splits.js'

const share = fc.double({ min: 0, max: 1, noNaN: true })

/** What must be kept of an output: a model without state. */
function kept(output: Buffer, max: number): Buffer {
  const leftOut = output.length - max - TAIL_BYTES
  if (leftOut <= 0) return output
  return Buffer.concat([output.subarray(0, max), leftOutMark(leftOut), output.subarray(output.length - TAIL_BYTES)])
}

function pushAll(cap: OutputCap, chunks: readonly Buffer[]): Buffer {
  return Buffer.concat([...chunks.map((chunk) => cap.push(chunk)), cap.finish()])
}

function assertSame(actual: Buffer, expected: Buffer, what: string): void {
  // Not deepEqual: the difference of two large buffers takes minutes to print.
  assert.ok(actual.equals(expected), `${what}: ${actual.length} bytes kept, ${expected.length} expected`)
}

describe('OutputCap', () => {
  it('keeps the same of any bytes, however they are split', () => {
    const lengths = fc.oneof(fc.nat(3 * TAIL_BYTES), fc.constantFrom(0, TAIL_BYTES - 1, TAIL_BYTES, TAIL_BYTES + 1))
    const max = fc.oneof(fc.nat(2 * TAIL_BYTES), fc.constantFrom(0, 1, TAIL_BYTES))
    fc.assert(
      fc.property(max, lengths, splits, (max, beyond, cuts) => {
        const output = noise(max + beyond)
        assertSame(pushAll(new OutputCap(max), split(output, cuts)), kept(output, max), `max ${max}, ${beyond} beyond`)
      }),
      { numRuns: 150 },
    )
  })

  it('keeps the same where others go on with it, each from anything before what need not be seen again', () => {
    const beyond = fc.oneof(fc.nat(3 * TAIL_BYTES), fc.constantFrom(0, TAIL_BYTES, TAIL_BYTES + 1))
    const max = fc.oneof(fc.nat(2 * TAIL_BYTES), fc.constantFrom(0, 1))
    const agents = fc.array(fc.record({ seen: share, from: share }), { minLength: 1, maxLength: 4 })
    fc.assert(
      fc.property(max, beyond, agents, splits, (max, beyond, agents, cuts) => {
        const output = noise(max + beyond)
        const written = Buffer.alloc(output.length + leftOutMark(output.length).length)
        let from = 0
        const push = (cap: OutputCap, bytes: Buffer) => {
          for (const chunk of split(bytes, cuts)) {
            const at = cap.head
            cap.push(chunk).copy(written, at)
          }
        }
        for (const agent of agents) {
          const cap = new OutputCap(max, from)
          const seen = from + Math.floor((output.length - from) * agent.seen)
          push(cap, output.subarray(from, seen))
          const { past } = cap
          assert.equal(past, Math.max(Math.min(seen, max), seen - TAIL_BYTES))
          from = Math.floor(past * agent.from)
        }
        const last = new OutputCap(max, from)
        push(last, output.subarray(from))
        const { head } = last
        const end = head + last.finish().copy(written, head)
        assertSame(written.subarray(0, end), kept(output, max), `max ${max}, ${beyond} beyond, from ${from}`)
      }),
      { numRuns: 150 },
    )
  })

  it('leaves nothing out where head and tail meet', () => {
    for (const beyond of [0, 1, TAIL_BYTES]) {
      const output = noise(1000 + beyond)
      assertSame(pushAll(new OutputCap(1000), [output]), output, `${beyond} beyond`)
    }
  })

  it('says on a line of its own how many bytes were left out', () => {
    const output = Buffer.alloc(1000 + 12_345 + TAIL_BYTES, 'x')
    const text = pushAll(new OutputCap(1000), [output]).toString()
    assert.equal(text.split('\n')[1], '[flux-agent: 12345 bytes of output left out]')
  })

  it('answers what it keeps of the first part at once', () => {
    const cap = new OutputCap(5)
    assert.equal(cap.push(Buffer.from('abc')).toString(), 'abc')
    assert.equal(cap.push(Buffer.from('def')).toString(), 'de')
    assert.equal(cap.push(Buffer.from('ghi')).toString(), '')
    assert.equal(cap.finish().toString(), 'fghi')
  })

  it('does not keep the chunks that it was given', () => {
    const cap = new OutputCap(0)
    const chunk = Buffer.from('abc')
    cap.push(chunk)
    chunk.fill('x')
    assert.equal(cap.finish().toString(), 'abc')
  })
})
