import assert from 'node:assert/strict'
import type { Lost, Output } from '../../src/workers/execution/output.js'

/** What an output answers at that offset, where nothing of it can be lost. */
export async function bytesAt(output: Output, offset: number): Promise<Buffer> {
  const read: Buffer | Lost = await output.read(offset)
  assert.ok(Buffer.isBuffer(read), `lost at ${offset}`)
  return read
}
