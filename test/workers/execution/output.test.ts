import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { BLOCK_BYTES, type Block, Output, wholeOutput } from '../../../src/workers/execution/output.js'
import { OutputCap } from '../../../src/workers/execution/output-cap.js'
import { bytesAt } from '../../archive/bytes-at.js'
import { noise } from '../../store/records.js'
import { split, splits } from './splits.js'

const MAX = 150_000

/** Output that tells what it seals. */
class Watched extends Output {
  readonly sealedBlocks: { offset: number; bytes: Buffer }[] = []
  protected override sealed(offset: number, bytes: Buffer): Block {
    this.sealedBlocks.push({ offset, bytes })
    return super.sealed(offset, bytes)
  }
}

function keptOf(bytes: Buffer, max: number): Buffer {
  const cap = new OutputCap(max)
  return Buffer.concat([cap.push(bytes), cap.finish()])
}

/** From the offset to what is the end now. */
async function readFrom(output: Output, offset: number): Promise<Buffer> {
  const parts: Buffer[] = []
  for (let at = offset; at < output.length; at += parts.at(-1)?.length ?? 0) parts.push(await bytesAt(output, at))
  return Buffer.concat(parts)
}

const assertSame = (actual: Buffer, expected: Buffer) =>
  assert.ok(actual.equals(expected), `${actual.length} bytes, ${expected.length} expected`)

describe('Output', () => {
  it('reads the same from any offset, however it was split', async () => {
    const size = fc.nat(300_000)
    await fc.assert(
      fc.asyncProperty(size, splits, fc.array(fc.nat(320_000), { maxLength: 5 }), async (size, cuts, offsets) => {
        const bytes = noise(size)
        const output = new Output(MAX)
        for (const chunk of split(bytes, cuts)) output.push(chunk)
        output.finish()
        const kept = keptOf(bytes, MAX)
        assert.equal(output.length, kept.length)
        for (const offset of [0, ...offsets]) assertSame(await readFrom(output, offset), kept.subarray(offset))
        assertSame(Buffer.from(await wholeOutput(output)), kept)
      }),
      { numRuns: 100 },
    )
  })

  it('reads right while it grows, and what was read stays as it was', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(120_000), splits, fc.nat(1000), async (size, cuts, share) => {
        const bytes = noise(size)
        const output = new Output(MAX)
        const read: { offset: number; part: Buffer }[] = []
        for (const chunk of split(bytes, cuts)) {
          output.push(chunk)
          const offset = Math.floor((output.length * share) / 1000)
          read.push({ offset, part: await bytesAt(output, offset) })
        }
        const right = noise(size)
        for (const { offset, part } of read) assertSame(part, right.subarray(offset, offset + part.length))
        assertSame(await readFrom(output, 0), right)
      }),
      { numRuns: 100 },
    )
  })

  it('gathers small writes into blocks that follow each other without a gap', () => {
    const bytes = noise(3 * BLOCK_BYTES)
    const output = new Watched(bytes.length)
    for (let at = 0; at < bytes.length; at += 100) output.push(bytes.subarray(at, at + 100))
    output.finish()
    const { sealedBlocks } = output
    assert.ok(sealedBlocks.length <= 5, `${sealedBlocks.length} blocks`)
    let end = 0
    for (const { offset, bytes } of sealedBlocks) {
      assert.equal(offset, end)
      assert.ok(bytes.length <= BLOCK_BYTES)
      end += bytes.length
    }
    assertSame(Buffer.concat(sealedBlocks.map((block) => block.bytes)), bytes)
  })

  it('does not keep a large read in memory for a small part of it', async () => {
    const output = new Output(MAX)
    const read = Buffer.alloc(65_536, 'x')
    output.push(read.subarray(100, 110))
    const kept = await bytesAt(output, 0)
    assert.equal(kept.toString(), 'xxxxxxxxxx')
    assert.ok(kept.buffer.byteLength < 100, `${kept.buffer.byteLength} bytes are kept for 10`)
  })

  it('answers empty at the end and beyond it', async () => {
    const output = new Output(MAX)
    output.push(Buffer.from('abc'))
    assert.equal((await bytesAt(output, 3)).length, 0)
    output.finish()
    assert.equal((await bytesAt(output, 3)).length, 0)
    assert.equal((await bytesAt(output, 1_000)).length, 0)
  })

  it('wakes a reader with the byte it waits for, and not before', async () => {
    const output = new Output(MAX)
    let woken = false
    const reached = output.reaches(3).then(() => {
      woken = true
    })
    output.push(Buffer.from('abc'))
    await new Promise(setImmediate)
    assert.equal(woken, false)
    output.push(Buffer.from('d'))
    await reached
    assert.equal((await bytesAt(output, 3)).toString(), 'd')
  })

  it('wakes every reader when no byte will follow', async () => {
    const output = new Output(MAX)
    const waiting = [0, 5, 1_000].map((offset) => output.reaches(offset))
    output.finish()
    await Promise.all(waiting)
  })

  it('keeps wholeOutput in memory of its own', async () => {
    const output = new Output(MAX)
    output.push(Buffer.from('abc'))
    output.finish()
    const whole = await wholeOutput(output)
    assert.equal(whole.buffer.byteLength, 3)
    whole.fill(0)
    assert.equal((await bytesAt(output, 0)).toString(), 'abc')
  })
})
