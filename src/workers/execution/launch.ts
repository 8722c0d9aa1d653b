import { dirname, join } from 'node:path'
import type { StartRequest } from '../../os/platform.js'
import type { ExecutionRecord } from '../../store/record.js'
import { encodeNote } from '../../threads/kept-note.js'
import type { ExecuteTask, LaunchSpec } from '../../threads/messages.js'
import { baseEnvironment } from '../thread.js'

type Variables = StartRequest['env']

/** A launch spec, and what is made of it once for all its executions. */
export interface Launch {
  readonly spec: LaunchSpec
  /** Absolute path of the program. */
  readonly file: string
  readonly cwd: string
  readonly env: Variables
}

export function launchOf(spec: LaunchSpec): Launch {
  const file = join(spec.versionDir, spec.handler)
  const { FLUX_EXECUTION_ID: _, ...env } = { ...baseEnvironment, ...spec.env }
  return { spec, file, cwd: dirname(file), env }
}

/** `begun`: the record of its begin. */
export function startRequest(
  task: ExecuteTask,
  { spec, file, cwd, env }: Launch,
  begun: ExecutionRecord,
  maxOutputBytes: number,
): StartRequest {
  const { id, args, variables } = task
  return {
    file,
    args,
    cwd,
    env: variables ? without(env, variables) : env,
    ownEnv: variables ? { ...variables, FLUX_EXECUTION_ID: id } : { FLUX_EXECUTION_ID: id },
    ownTmpdir: !('TMPDIR' in spec.env),
    runAs: spec.runAs,
    sandbox: spec.sandboxed ? spec.functionName : undefined,
    limits: spec.limits,
    timeoutMs: spec.timeoutSeconds * 1000,
    note: task.async ? noteOf(task, spec, begun, maxOutputBytes) : undefined,
  }
}

function noteOf(
  { idNumber, spans }: ExecuteTask,
  { versionDir, handler, timeoutSeconds, limits }: LaunchSpec,
  record: ExecutionRecord,
  maxOutputBytes: number,
): Uint8Array {
  return encodeNote({
    version: 1,
    record,
    idNumber,
    versionDir,
    handler,
    timeoutSeconds,
    limits,
    maxOutputBytes,
    spans,
  })
}

/** The same object where it has none of these names. */
function without(env: Variables, names: Variables): Variables {
  if (!Object.keys(names).some((name) => name in env)) return env
  return Object.fromEntries(Object.entries(env).filter(([name]) => !(name in names)))
}
