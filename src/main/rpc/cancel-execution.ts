import type { CancelExecutionRequest__Output } from '../../generated/flux/CancelExecutionRequest.js'
import type { CancelExecutionResponse } from '../../generated/flux/CancelExecutionResponse.js'
import type { Executions } from '../executions.js'

/** Answers once the process group is dead, or that there is nothing to cancel. */
export async function cancelExecution(
  executions: Executions,
  { execution_id: id }: CancelExecutionRequest__Output,
): Promise<CancelExecutionResponse> {
  const execution = executions.find(id)
  if (execution && !execution.isOver && !execution.cancelling) {
    execution.cancelling = true
    const outcome = await execution.end('cancelled')
    if (outcome?.cause === 'cancelled') return { success: true, message: 'execution cancelled' }
  }
  return { success: false, message: 'execution not found or already completed' }
}
