import { constants } from 'node:os'

/** The exit code after Ctrl-C. */
export const INTERRUPTED = 130

/** The exit code where the function did not run: not found, at capacity, not started. */
export const NOT_RUN = 125

/** The exit code for an execution that ended with this error, as by the shell, `timeout` or `docker run`. */
export function exitCodeOf(error: string): number {
  if (error === '') return 0
  const [, code] = /^exit code (\d+)/.exec(error) ?? []
  if (code !== undefined) return Number(code)
  if (error.startsWith('execution cancelled')) return INTERRUPTED
  if (error.startsWith('execution timed out')) return 124
  // The kernel kills by SIGKILL.
  if (error.startsWith('out of memory')) return 137
  const [signal] = /\bSIG[A-Z0-9]+\b/.exec(error) ?? []
  const number = Object.entries(constants.signals).find(([name]) => name === signal)?.[1]
  return number === undefined ? NOT_RUN : 128 + number
}

/** Whether the exit code alone says how it ended, as for a local program. */
export function isOwnExit(error: string): boolean {
  return /^(exit code \d+)?$/.test(error)
}
