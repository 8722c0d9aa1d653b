import { dirname } from 'node:path'
import { environmentOf } from '../../environment.js'
import type { StartFailure, StartRequest } from '../../platform.js'
import type { StartStep } from '../launcher/events.js'
import { kindOf, within } from './probe.js'
import { programProblem } from './program.js'
import { chargedBytes, strings } from './string-limits.js'

/** Files whose format was found valid; deployed versions never change. */
const checked = new Set<string>()
const CHECKED_MAX = 10_000

/**
 * Detects files that the kernel refuses with ENOEXEC: libuv starts programs by execvp(3), which would pass them to
 * /bin/sh. Unreadable files are left to the start itself.
 */
export async function formatFailure(file: string): Promise<StartFailure | undefined> {
  if (checked.has(file)) return undefined
  const problem = await within(() => programProblem(file, dirname(file)))
  if (problem?.code === 'ENOEXEC') return startFailure('exec', 'ENOEXEC', `${problem.text} (ENOEXEC)`)
  if (checked.size >= CHECKED_MAX) checked.clear()
  checked.add(file)
  return undefined
}

export function startFailure(step: string, code: string, error: string): StartFailure {
  return { kind: 'not started', step, code, error }
}

/** The system's error for a start. */
export interface SystemFailure {
  /** The errno's name. */
  readonly code: string
  /** The step that failed, if known. */
  readonly step?: StartStep
  readonly message: string
}

/** Explains a failed start: which file, and what is wrong with it. */
export async function explainFailure(failure: SystemFailure, request: StartRequest): Promise<StartFailure> {
  const { step = 'spawn', code, message } = failure
  const text = (await within(() => reason(failure, request))) ?? `cannot start ${request.file}: ${message}`
  return startFailure(step, code, `${text} (${code})`)
}

async function reason({ code, step }: SystemFailure, request: StartRequest): Promise<string | undefined> {
  const { file, cwd, args, sandbox } = request
  if (step === 'sandbox') return `the sandbox of function ${sandbox} cannot be made: the agent's log says why`
  if (step === 'chdir' && code !== 'ENOENT') return `working directory ${cwd} may not be entered by the user it runs as`
  if (step === 'clone' && code === 'EAGAIN') {
    return `cannot start ${file}: all executions together, or the machine, run as many processes and threads as they may`
  }
  if (step !== undefined && step !== 'chdir' && step !== 'exec') return undefined
  if (code === 'E2BIG') {
    const bytes = chargedBytes(file, args, environmentOf(request))
    const together = `arguments and environment are too long together: ${bytes} bytes; allowed: ${strings.together}`
    return longString(request) ?? together
  }
  const problem = await programProblem(file, cwd)
  if (problem) return problem.text
  switch (code) {
    case 'ENOENT':
      return (await kindOf(cwd)) ? undefined : `working directory ${cwd} does not exist`
    case 'EACCES':
      return `${file} may not be executed by the user it runs as`
    case 'ENOEXEC':
      return `${file} is a native program that is damaged`
    default:
      return undefined
  }
}

/** The first argument or variable that alone is too long. */
function longString(request: StartRequest): string | undefined {
  const { longest, sizeOf } = strings
  const tooLong = (subject: string, size: number) =>
    size > longest ? [`${subject} is too long: ${size} bytes; allowed: ${longest}`] : []
  return [
    ...request.args.flatMap((arg, at) => tooLong(`argument ${at + 1}`, sizeOf(arg))),
    ...Object.entries(environmentOf(request)).flatMap(([name, value]) =>
      tooLong(`env ${name}`, sizeOf(`${name}=${value}`)),
    ),
  ][0]
}
