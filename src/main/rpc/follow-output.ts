import { once } from 'node:events'
import { type ServerWritableStream, status } from '@grpc/grpc-js'
import type { FollowOutputRequest__Output } from '../../generated/flux/operations/FollowOutputRequest.js'
import type { FollowOutputResponse } from '../../generated/flux/operations/FollowOutputResponse.js'
import type { OutputPart } from '../../threads/messages.js'
import type { Executions } from '../executions/executions.js'
import type { WorkerPool } from '../executions/worker-pool.js'
import { RpcError } from './handler.js'

/**
 * Streams output as it comes, then the record. Reads a range only once the one before has been sent, so that a slow
 * reader delays only itself.
 */
export async function followOutput(
  executions: Executions,
  pool: WorkerPool,
  call: ServerWritableStream<FollowOutputRequest__Output, FollowOutputResponse>,
): Promise<void> {
  const { execution_id: id, offset: from } = call.request
  const follower = executions.find(id)?.follow()
  const hungUp = new AbortController()
  call.on('cancelled', () => {
    follower?.leave()
    hungUp.abort()
  })
  try {
    for (let offset = from; !call.cancelled; ) {
      const part = (await follower?.read(offset)) ?? (await storedOutput(pool, id, offset))
      if (part.kind === 'end') {
        call.write({ record: Buffer.from(JSON.stringify(part.record)) })
        return
      }
      if (part.kind === 'lost') {
        offset += part.bytes
        continue
      }
      const data = Buffer.from(part.data.buffer, part.data.byteOffset, part.data.byteLength)
      offset = part.offset + data.length
      if (!call.write({ chunk: { offset: part.offset, data } })) await once(call, 'drain', hungUp).catch(() => {})
    }
  } finally {
    follower?.leave()
  }
}

async function storedOutput(pool: WorkerPool, id: string, offset: number): Promise<OutputPart> {
  const answer = await pool.readOutput({ id, offset })
  switch (answer.kind) {
    case 'found':
      return answer.value
    case 'absent':
      throw new RpcError(status.NOT_FOUND, `execution ${id} not found`)
    case 'unavailable':
      throw new RpcError(status.UNAVAILABLE, answer.message)
  }
}
