import { status } from '@grpc/grpc-js'
import type { GetExecutionRequest__Output } from '../../generated/flux/GetExecutionRequest.js'
import type { GetExecutionResponse } from '../../generated/flux/GetExecutionResponse.js'
import type { Executions } from '../executions/executions.js'
import type { WorkerPool } from '../executions/worker-pool.js'
import { RpcError } from './handler.js'

/** The record with the output so far: from the supervising worker, or from the store once the execution is settled. */
export async function getExecution(
  executions: Executions,
  pool: WorkerPool,
  { execution_id: id }: GetExecutionRequest__Output,
): Promise<GetExecutionResponse> {
  const execution = executions.find(id)
  const visible = execution && (execution.async || !execution.hasEnded)
  const answer = (visible && (await execution.snapshot())) || (await pool.readRecord({ id }))
  switch (answer.kind) {
    case 'found': {
      const { buffer, byteOffset, byteLength } = answer.value
      return { found: true, data: Buffer.from(buffer, byteOffset, byteLength) }
    }
    case 'absent':
      return { found: false, data: Buffer.alloc(0) }
    case 'unavailable':
      // The response has no field for errors, and "not found" would be wrong.
      throw new RpcError(status.UNAVAILABLE, answer.message)
  }
}
