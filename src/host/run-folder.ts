import { join } from 'node:path'

/** The folder for the process starters' files: those of a running agent, and the sockets of launchers. */
export function runFolder(stateDir: string): string {
  return join(stateDir, 'run')
}
