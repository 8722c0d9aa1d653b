import { dirname, join } from 'node:path'
import type { StartRequest } from '../../os/platform.js'
import type { ExecutionRecord } from '../../store/record.js'
import { encodeNote } from '../../threads/kept-note.js'
import type { ExecuteTask, LaunchSpec } from '../../threads/messages.js'
import { baseEnvironment } from '../thread.js'

const ID_VARIABLE = 'FLUX_EXECUTION_ID'

type Variables = StartRequest['env']

/** A launch spec, and what is made of it once for all its executions. */
export interface Launch {
  readonly spec: LaunchSpec
  readonly request: Omit<StartRequest, 'args' | 'ownEnv' | 'note'>
}

export function launchOf(spec: LaunchSpec): Launch {
  const { runAs, sandboxed, functionName, limits, timeoutSeconds } = spec
  const file = join(spec.versionDir, spec.handler)
  const { [ID_VARIABLE]: _, ...env } = { ...baseEnvironment, ...spec.env }
  const request = {
    file,
    cwd: dirname(file),
    env,
    ownTmpdir: !('TMPDIR' in spec.env),
    ...(runAs && { runAs }),
    ...(sandboxed && { sandbox: functionName }),
    limits,
    timeoutMs: timeoutSeconds * 1000,
  }
  return { spec, request }
}

/** `begun`: the record of its begin. */
export function startRequest(
  { id, args, async, variables, idNumber, spans }: ExecuteTask,
  { spec, request }: Launch,
  begun: ExecutionRecord,
  maxOutputBytes: number,
): StartRequest {
  const { env } = request
  const own = variables
    ? { env: without(env, variables), args, ownEnv: { ...variables, [ID_VARIABLE]: id } }
    : { env, args, ownEnv: { [ID_VARIABLE]: id } }
  if (!async) return { ...request, ...own }
  const { versionDir, handler, timeoutSeconds, limits } = spec
  const number = idNumber === undefined ? {} : { idNumber }
  const run = { versionDir, handler, timeoutSeconds, limits, maxOutputBytes, ...number, ...(spans && { spans }) }
  return { ...request, ...own, note: encodeNote({ version: 1, record: begun, ...run }) }
}

/** The same object where it has none of these names. */
function without(env: Variables, names: Variables): Variables {
  if (!Object.keys(names).some((name) => name in env)) return env
  return Object.fromEntries(Object.entries(env).filter(([name]) => !(name in names)))
}
