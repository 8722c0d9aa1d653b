import type { DrainResponse } from '../../generated/flux/operations/DrainResponse.js'
import type { ResumeResponse } from '../../generated/flux/operations/ResumeResponse.js'
import type { AgentState } from '../../host/agent-state.js'
import { systemFailure } from '../../os/system-failure.js'
import type { NodeDrain } from '../executions/node-drain.js'

/** Answers once no new execution is taken any more. */
export async function drain(nodeDrain: NodeDrain, state: AgentState): Promise<DrainResponse> {
  if (state.current.kind === 'stopping') return { success: false, message: 'agent is stopping' }
  const since = await nodeDrain.drain().catch(messageOf)
  if (typeof since === 'string') return { success: false, message: `not drained: ${since}` }
  return { success: true, message: `draining since ${since.toISOString()}` }
}

/** Answers once new executions are taken again. */
export async function resume(nodeDrain: NodeDrain): Promise<ResumeResponse> {
  const drained = await nodeDrain.resume().catch(messageOf)
  if (typeof drained === 'string') return { success: false, message: `not resumed: ${drained}` }
  return { success: true, message: drained ? 'resumed' : 'was not drained' }
}

function messageOf(error: Error): string {
  return systemFailure(error) ?? error.message
}
