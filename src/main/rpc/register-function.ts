import type { ServerUnaryCall } from '@grpc/grpc-js'
import type { FunctionAck } from '../../generated/flux/FunctionAck.js'
import type { FunctionConfig__Output } from '../../generated/flux/FunctionConfig.js'
import type { Caller, Change, Registrations } from '../functions/registrations.js'
import { validateFunction } from '../functions/validation.js'

/** Registers a function. Success means that the settings are stored; they apply to the following executions. */
export async function registerFunction(
  registrations: Registrations,
  call: ServerUnaryCall<FunctionConfig__Output, FunctionAck>,
): Promise<FunctionAck> {
  const checked = validateFunction(call.request)
  if (!checked.ok) return { success: false, message: checked.message }
  return ackOf(await registrations.register(checked.value, callerOf(call)))
}

/** The caller of a registration or a deploy. */
export function callerOf(call: ServerUnaryCall<unknown, unknown>): Caller {
  return { deadline: Number(call.getDeadline()), hasHungUp: () => call.cancelled }
}

/** The answer to a registration or a deploy. */
export function ackOf(change: Change): FunctionAck {
  if (change.kind === 'refused') return { success: false, message: change.message }
  return { success: true, message: [change.message, ...change.warnings].join('; warning: ') }
}
