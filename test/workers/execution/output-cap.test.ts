import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { leftOutMark, OutputCap, TAIL_BYTES } from '../../../src/workers/execution/output-cap.js'
import { noise } from '../../store/records.js'
import { split, splits } from './splits.js'

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
