import { componentProblem, pathProblem } from '../../archive/path-rules.js'
import type { FunctionConfig__Output } from '../../generated/flux/FunctionConfig.js'
import { platform } from '../../os/index.js'
import type { ConcurrencyBehavior, FunctionSettings } from '../../store/function.js'

/** A value, or one sentence that says what is wrong, where, and what is allowed. */
export type Validated<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly message: string }

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/
const EXECUTION_ID = /^[\x21-\x7e]{1,200}$/
const HANDLER_MAX_BYTES = 4096

/** Larger numbers are mistakes. The timeout's limit is the largest value of the contract's field. */
const NUMBERS = {
  cpu_millicores: 1_024_000,
  memory_mb: 16_777_216,
  timeout_seconds: 2_147_483_647,
  max_concurrency: 1_000_000,
} as const

/** Checks the configuration in RegisterFunction and DeployFunction. */
export function validateFunction(config: FunctionConfig__Output): Validated<FunctionSettings> {
  const settings: FunctionSettings = {
    name: config.name,
    handler: config.handler,
    cpuMillicores: config.cpu_millicores,
    memoryMb: config.memory_mb,
    timeoutSeconds: config.timeout_seconds,
    env: config.env,
    maxConcurrency: config.max_concurrency,
    maxConcurrencyBehavior: (config.max_concurrency_behavior || 'exit') as ConcurrencyBehavior,
  }
  const wrong = settingsProblem(settings)
  return wrong ? invalid(wrong) : { ok: true, value: settings }
}

/** Why a function is refused, whether it is being registered or was stored; undefined where it is valid. */
export function settingsProblem(settings: FunctionSettings): string | undefined {
  return (
    nameProblem(settings.name) ??
    handlerProblem(settings) ??
    numberProblem(settings) ??
    envProblem(settings) ??
    behaviorProblem(settings)
  )
}

/** Checks an execution id that a caller gave. */
export function validateExecutionId(id: string): Validated<string> {
  if (EXECUTION_ID.test(id)) return { ok: true, value: id }
  return invalid(
    `execution_id ${excerpt(id)} is not allowed; allowed: 1 to 200 printable ASCII characters without spaces`,
  )
}

/** Checks arguments for what no process can be given (execve(2)). */
export function validateArgs(args: readonly string[]): Validated<readonly string[]> {
  const { longest, sizeOf, unit } = platform.strings
  for (const [at, arg] of args.entries()) {
    if (arg.includes('\0')) return invalid(`args[${at}] holds a NUL byte, which no process argument can`)
    const size = sizeOf(arg)
    if (size > longest) return invalid(`args[${at}] is too long: ${size} ${unit}; allowed: ${longest}`)
  }
  return { ok: true, value: args }
}

function nameProblem(name: string): string | undefined {
  if (!NAME.test(name)) {
    return `function name ${excerpt(name)} is not allowed; allowed: 1 to 128 of A-Z a-z 0-9 . _ -, the first a letter or digit`
  }
  const problem = componentProblem(name, process.platform)
  return problem && `function name ${excerpt(name)} cannot name a folder: it ${problem}`
}

function handlerProblem({ name, handler }: FunctionSettings): string | undefined {
  const parts = handler.split('/')
  const inside = !parts.some((part) => part === '' || part === '.' || part === '..')
  const portable = !/[\0\\]/.test(handler) && !/^[A-Za-z]:/.test(handler)
  if (inside && portable && Buffer.byteLength(handler) <= HANDLER_MAX_BYTES) {
    const problem = pathProblem(handler, process.platform) ?? platform.handlerProblem(handler)
    return problem && `function ${name}: handler ${excerpt(handler)} ${problem}`
  }
  const allowed = 'allowed: a relative path inside the archive, with / and without . or ..'
  return `function ${name}: handler ${excerpt(handler)} is not allowed; ${allowed}${plainSpelling(handler)}`
}

/** Suggests a valid spelling for `./run.sh` or `bin\run.sh`. */
function plainSpelling(handler: string): string {
  const parts = handler.split(/[/\\]/).filter((part) => part !== '' && part !== '.')
  const isOther = parts.length === 0 || parts.includes('..') || /^([/\\]|[A-Za-z]:)/.test(handler)
  return isOther || handler.includes('\0') ? '' : `; did you mean ${excerpt(parts.join('/'))}?`
}

function numberProblem(settings: FunctionSettings): string | undefined {
  const values: Record<keyof typeof NUMBERS, number> = {
    cpu_millicores: settings.cpuMillicores,
    memory_mb: settings.memoryMb,
    timeout_seconds: settings.timeoutSeconds,
    max_concurrency: settings.maxConcurrency,
  }
  for (const [key, max] of Object.entries(NUMBERS) as [keyof typeof NUMBERS, number][]) {
    const value = values[key]
    if (!(value >= 0 && value <= max)) {
      return `function ${settings.name}: ${key} ${value} is not allowed; allowed: 0 (no limit) to ${max}`
    }
  }
  return undefined
}

function envProblem({ name, env }: FunctionSettings): string | undefined {
  const { longest, together, sizeOf, unit } = platform.strings
  let total = 0
  for (const [key, value] of Object.entries(env)) {
    if (key === '' || /[=\0]/.test(key)) {
      return `function ${name}: env name ${excerpt(key)} is not allowed; allowed: not empty, without = and NUL`
    }
    const subject = `function ${name}: env ${key.length > 80 ? excerpt(key) : key}`
    if (value.includes('\0')) return `${subject} holds a NUL byte, which no environment variable can`
    const size = sizeOf(`${key}=${value}`)
    if (size > longest) return `${subject} is too long: ${size} ${unit} with its name; allowed: ${longest}`
    total += size + 1
  }
  if (total > together) return `function ${name}: env is too long: ${total} ${unit} together; allowed: ${together}`
  const twice = process.platform === 'win32' ? sameForWindows(Object.keys(env)) : undefined
  return twice && `function ${name}: env ${twice.join(' and ')} are one variable for Windows; allowed: one of them`
}

function sameForWindows(names: readonly string[]): [string, string] | undefined {
  const seen = new Map<string, string>()
  for (const name of names) {
    const other = seen.get(name.toUpperCase())
    if (other !== undefined) return [other, name]
    seen.set(name.toUpperCase(), name)
  }
  return undefined
}

function behaviorProblem({ name, maxConcurrencyBehavior: behavior }: FunctionSettings): string | undefined {
  if (behavior === 'exit' || behavior === 'wait') return undefined
  const value = JSON.stringify(behavior)
  return `function ${name}: max_concurrency_behavior ${value} is not allowed; allowed: exit, wait or empty`
}

function invalid(message: string): { ok: false; message: string } {
  return { ok: false, message }
}

function excerpt(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text)
}
