import { randomUUID } from 'node:crypto'
import type { ServiceError } from '@grpc/grpc-js'
import type { ExecutionRequest } from '../../src/generated/flux/ExecutionRequest.js'
import type { ExecutionResponse__Output } from '../../src/generated/flux/ExecutionResponse.js'
import type { FollowOutputResponse__Output } from '../../src/generated/flux/operations/FollowOutputResponse.js'
import type { AgentServiceClient, OperationsClient } from '../../src/proto.js'
import type { ExecutionRecord } from '../../src/store/record.js'

/** A sync execution under way. */
export interface SyncCall {
  readonly id: string
  /** The answer, or the status the caller sees instead of one. */
  readonly outcome: Promise<ExecutionResponse__Output | ServiceError>
  hangUp(): void
}

/** Starts a sync execution whose caller can hang up, or runs out of time after so many seconds. */
export function callSync(client: AgentServiceClient, request: ExecutionRequest, seconds = 60): SyncCall {
  const id = request.execution_id ?? randomUUID()
  let hangUp = () => {}
  const outcome = new Promise<ExecutionResponse__Output | ServiceError>((resolve) => {
    const deadline = Date.now() + seconds * 1000
    const call = client.executeFunction({ ...request, execution_id: id }, { deadline }, (error, response) => {
      resolve(error ?? (response as ExecutionResponse__Output))
    })
    hangUp = () => call.cancel()
  })
  return { id, outcome, hangUp }
}

/** Everything FollowOutput streams, to the end. */
export async function followed(client: OperationsClient, id: string, offset = 0): Promise<[Buffer, ExecutionRecord]> {
  const chunks: Buffer[] = []
  let record: ExecutionRecord | undefined
  for await (const part of client.followOutput({ execution_id: id, offset })) {
    const { chunk, record: last } = part as FollowOutputResponse__Output
    if (chunk) chunks.push(chunk.data)
    if (last) record = JSON.parse(last.toString())
  }
  if (!record) throw new Error('the stream ended without a record')
  return [Buffer.concat(chunks), record]
}
