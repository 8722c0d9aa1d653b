import type { Log } from '../../log/log.js'
import type { KeptLauncher, KeptLaunchers, KeptProcess } from '../../os/platform.js'
import { decodeNote, type KeptNote } from '../../threads/kept-note.js'

export interface KeptExecution {
  readonly process: KeptProcess
  readonly note: KeptNote
}

/** A launcher without an agent, and the executions that it keeps. */
export interface KeptExecutions {
  readonly launcher: KeptLauncher
  readonly executions: readonly KeptExecution[]
}

/** Reads which executions launchers keep. Ends launchers whose executions this version of the agent cannot take over. */
export async function keptExecutions(
  { launchers, problems }: KeptLaunchers,
  log: Log,
): Promise<readonly KeptExecutions[]> {
  for (const problem of problems) log.error(problem)
  const kept: KeptExecutions[] = []
  for (const launcher of launchers) {
    const executions = launcher.processes.flatMap((process) => {
      const note = decodeNote(process.note)
      return note ? [{ process, note }] : []
    })
    if (executions.length === launcher.processes.length) {
      kept.push({ launcher, executions })
      continue
    }
    log.error({ launcher: launcher.name }, 'an agent of another version has started executions there: they are ended')
    await launcher.end()
  }
  return kept
}

/** The ids of executions that are alive. */
export function idsOf(kept: readonly KeptExecutions[]): Set<string> {
  return new Set(kept.flatMap(({ executions }) => executions.map(({ note }) => note.record.execution_id)))
}
