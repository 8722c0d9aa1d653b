import assert from 'node:assert/strict'
import type { ClientReadableStream } from '@grpc/grpc-js'
import { eventually } from '../../harness/eventually.js'
import type { FollowOutputResponse__Output } from '../../src/generated/flux/operations/FollowOutputResponse.js'
import type { OperationsClient } from '../../src/proto.js'
import type { ExecutionRecord } from '../../src/store/record.js'

/** All that a follower was sent. */
export interface Followed {
  readonly output: Buffer
  /** Absent where the stream ended without one. */
  readonly record?: ExecutionRecord
}

/** One FollowOutput call. */
export interface Following {
  readonly stream: ClientReadableStream<FollowOutputResponse__Output>
  /** Bytes received so far. */
  received(): number
  /** Rejects with the ServiceError of a stream that fails, or where a chunk is not at the offset it should be at. */
  readonly whole: Promise<Followed>
}

/** Follows an execution's output from an offset to its end. */
export function follow(operations: OperationsClient, id: string, offset = 0): Following {
  const stream = operations.followOutput({ execution_id: id, offset }, { deadline: Date.now() + 60_000 })
  const chunks: Buffer[] = []
  let length = 0
  const whole = new Promise<Followed>((resolve, reject) => {
    let record: ExecutionRecord | undefined
    stream.on('data', (part: FollowOutputResponse__Output) => {
      if (record) reject(new Error('something follows the record'))
      if (part.part === 'record') record = JSON.parse(String(part.record))
      if (part.part !== 'chunk' || !part.chunk) return
      const { data, offset: at } = part.chunk
      if (at !== offset + length) reject(new Error(`a chunk is at ${at} instead of ${offset + length}`))
      chunks.push(data)
      length += data.length
    })
    stream.on('error', reject)
    stream.on('end', () => resolve({ output: Buffer.concat(chunks), ...(record && { record }) }))
  })
  // Where a test cancels the stream, nobody waits for the whole.
  whole.catch(() => {})
  return { stream, received: () => length, whole }
}

/** Resolves once an execution has printed so many bytes, and no more. Each of them is read once, however long it takes. */
export async function printedBytes(operations: OperationsClient, id: string, bytes: number): Promise<void> {
  const { stream, received } = follow(operations, id)
  await eventually(`${id} has printed ${bytes} bytes`, () => received() >= bytes, 30)
  stream.cancel()
  assert.equal(received(), bytes)
}
