import type { CancelExecutionRequest__Output } from '../../generated/flux/CancelExecutionRequest.js'
import type { CancelExecutionResponse } from '../../generated/flux/CancelExecutionResponse.js'
import type { Outcome } from '../../threads/messages.js'
import type { Executions } from '../executions/executions.js'

/** Answers once all processes of the execution are dead, or says which survive, or that there is nothing to cancel. */
export async function cancelExecution(
  executions: Executions,
  { execution_id: id }: CancelExecutionRequest__Output,
): Promise<CancelExecutionResponse> {
  const outcome = await executions.find(id)?.cancel()
  return outcome ? answer(outcome) : { success: false, message: 'execution not found or already completed' }
}

function answer({ record: { survivors = 0, survivor_pids: pids = [] } }: Outcome): CancelExecutionResponse {
  if (survivors === 0) return { success: true, message: 'execution cancelled' }
  const more = survivors > pids.length ? ', and more' : ''
  const those = `${survivors} of its processes ${survivors === 1 ? 'survives' : 'survive'} SIGKILL`
  const message = `execution cancelled, but ${those}, hanging in the kernel (pid ${pids.join(', ')}${more})`
  return { success: false, message }
}
