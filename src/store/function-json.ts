import * as z from 'zod'
import type { FunctionSettings } from './function.js'

/** A limit: missing and null mean 0, which means none. */
const limit = z
  .number()
  .int()
  .min(0)
  .nullish()
  .transform((value) => value ?? 0)

const storedFunction = z.object({
  Name: z.string().min(1).nullish(),
  Handler: z.string().min(1),
  Resources: z.object({ CPU: limit, Memory: limit }).nullish(),
  Timeout: limit,
  MaxConcurrency: limit,
  MaxConcurrencyBehavior: z
    .enum(['exit', 'wait', ''])
    .nullish()
    .transform((value) => value || 'exit'),
  Env: z.record(z.string(), z.string()).nullish(),
})

/** A function as stored JSON, with the keys that the control plane's other agents use. */
export function functionToJson(settings: FunctionSettings): string {
  return JSON.stringify({
    Name: settings.name,
    Handler: settings.handler,
    Resources: { CPU: settings.cpuMillicores, Memory: settings.memoryMb },
    Timeout: settings.timeoutSeconds,
    MaxConcurrency: settings.maxConcurrency,
    MaxConcurrencyBehavior: settings.maxConcurrencyBehavior,
    Env: settings.env,
  })
}

/**
 * The function stored under `name`. Missing and unknown keys are accepted. Throws an Error that names the invalid key.
 */
export function functionFromJson(name: string, json: string): FunctionSettings {
  const stored = storedFunction.safeParse(parse(json))
  if (!stored.success) {
    const issue = stored.error.issues[0]
    const key = issue?.path.join('.')
    throw new Error(key ? `${key}: ${issue?.message}` : (issue?.message ?? 'not a function'))
  }
  const { data } = stored
  if (data.Name && data.Name !== name) throw new Error(`Name: is ${JSON.stringify(data.Name)}, stored as another`)
  return {
    name,
    handler: data.Handler,
    cpuMillicores: data.Resources?.CPU ?? 0,
    memoryMb: data.Resources?.Memory ?? 0,
    timeoutSeconds: data.Timeout,
    env: data.Env ?? {},
    maxConcurrency: data.MaxConcurrency,
    maxConcurrencyBehavior: data.MaxConcurrencyBehavior,
  }
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    throw new Error('not JSON')
  }
}
