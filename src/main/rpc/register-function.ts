import type { FunctionAck } from '../../generated/flux/FunctionAck.js'
import type { FunctionConfig__Output } from '../../generated/flux/FunctionConfig.js'
import type { FunctionSettings } from '../../store/function.js'
import { type Store, StoreUnavailable } from '../../store/store.js'
import type { AdmissionControl } from '../admission.js'
import type { Functions } from '../functions.js'
import { type LimitPolicy, limitProblem } from '../limits.js'
import { validateFunction } from '../validation.js'

/** What a registration changes. */
export interface Registry {
  readonly store: Store
  readonly functions: Functions
  readonly admission: AdmissionControl
  readonly limits: LimitPolicy
}

/** An ack means that the settings are stored; they count for the executions that come. */
export async function registerFunction(registry: Registry, config: FunctionConfig__Output): Promise<FunctionAck> {
  const checked = validateFunction(config)
  if (!checked.ok) return { success: false, message: checked.message }
  const problem = limitProblem(registry.limits, checked.value) ?? (await register(registry, checked.value))
  return problem ? { success: false, message: problem } : { success: true, message: 'function registered' }
}

/** Stores the settings, then puts them to use; answers what is wrong where the store does not take them. */
export async function register(
  { store, functions, admission }: Registry,
  settings: FunctionSettings,
): Promise<string | undefined> {
  try {
    await store.putFunction(settings)
  } catch (error) {
    if (error instanceof StoreUnavailable) return `function ${settings.name} not registered: ${error.message}`
    throw error
  }
  functions.register(settings)
  admission.limit(settings.name, settings.maxConcurrency)
  return undefined
}
