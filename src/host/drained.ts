import { statSync } from 'node:fs'
import { join } from 'node:path'

/** In the state folder as long as an operator has the agent drained; its time is when that began. */
export function drainedFile(stateDir: string): string {
  return join(stateDir, 'drained')
}

/** Since when an agent with this state folder is drained; undefined where it is not. Blocks. Throws errors of fs. */
export function drainedSince(stateDir: string): Date | undefined {
  return statSync(drainedFile(stateDir), { throwIfNoEntry: false })?.mtime
}
