import { randomUUID } from 'node:crypto'
import { type ServerUnaryCall, status } from '@grpc/grpc-js'
import type { ExecutionRequest__Output } from '../../generated/flux/ExecutionRequest.js'
import type { ExecutionResponse } from '../../generated/flux/ExecutionResponse.js'
import type { Refusal } from '../../threads/messages.js'
import type { Execution } from '../executions/execution.js'
import type { Executions } from '../executions/executions.js'
import type { Refusals } from '../executions/refusals.js'
import { validateArgs, validateExecutionId } from '../functions/validation.js'
import { readTraceContext, traceVariables } from '../tracing/trace-context.js'
import type { Tracing } from '../tracing/tracing.js'
import { RpcError } from './handler.js'

/**
 * Sync: answers with the outcome. Async: answers once the execution is recorded, while it runs on; a refusal is
 * recorded as well.
 */
export async function executeFunction(
  executions: Executions,
  refusals: Refusals,
  tracing: Tracing | undefined,
  call: ServerUnaryCall<ExecutionRequest__Output, ExecutionResponse>,
): Promise<ExecutionResponse> {
  const { function_name: functionName, execution_id: id, args, async } = call.request
  const caller = readTraceContext(call.metadata)
  const trace = tracing?.begin(caller, async)
  const asked = { id, functionName, trace }
  if (executions.stopping) {
    const error = 'agent is stopping: no new executions'
    refusals.tell(asked, 'stopping', error)
    throw new RpcError(status.UNAVAILABLE, error)
  }
  const idGiven = id !== ''
  const validId = idGiven || async ? validateExecutionId(id) : undefined
  // An invalid id cannot have a record.
  if (validId && !validId.ok) {
    refusals.tell(asked, 'invalid', validId.message)
    return failure(validId.message)
  }
  const refuse = ({ reason, error, idTaken }: Omit<Refusal, 'kind'>) => {
    refusals.tell(asked, reason, error)
    if (async && !idTaken) refusals.add({ id, functionName, error })
    return failure(error)
  }
  const validArgs = validateArgs(args)
  if (!validArgs.ok) return refuse({ reason: 'invalid', error: validArgs.message, idTaken: executions.isTaken(id) })

  const inside = trace?.inside ?? caller
  const variables = inside && traceVariables(inside)
  const newId = idGiven ? id : randomUUID()
  const started = executions.start({ id: newId, idGiven, functionName, args, async, variables, trace })
  if (started.kind === 'refused') return refuse(started)
  const { execution } = started
  if (!async) endOnHangUp(call, execution)

  const reached = await (execution.accepted ?? execution.ended)
  if (reached.kind === 'refused') return refuse(reached)
  if (reached.kind === 'accepted') return { output: Buffer.alloc(0), error: '', duration_ms: 0 }
  const { record, output } = reached.outcome
  const { buffer, byteOffset, byteLength } = output
  return {
    output: Buffer.from(buffer, byteOffset, byteLength),
    error: record.error ?? '',
    duration_ms: record.duration_ms ?? 0,
  }
}

/** Kills a sync execution when its caller hangs up or its deadline passes. */
function endOnHangUp(call: ServerUnaryCall<unknown, unknown>, execution: Execution): void {
  const hangUp = () => {
    if (!execution.hasEnded) void execution.kill('hangup')
  }
  if (call.cancelled) hangUp()
  else call.on('cancelled', hangUp)
}

function failure(error: string): ExecutionResponse {
  return { output: Buffer.alloc(0), error, duration_ms: 0 }
}
