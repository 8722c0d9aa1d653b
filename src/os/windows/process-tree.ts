import { execFile } from 'node:child_process'
import { systemProgram } from './system.js'

/** Longer than Windows takes to kill the largest tree. */
const LIMIT_MS = 10_000
/** taskkill's exit code for a process that does not exist. */
const NOT_FOUND = 128

/**
 * Kills a process and its descendants, as far as a chain of live processes leads to them. Resolves when that is done,
 * with taskkill's message where some could not be killed. Any thread.
 */
export function killTree(pid: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const args = ['/F', '/T', '/PID', String(pid)]
    const options = { windowsHide: true, timeout: LIMIT_MS }
    execFile(systemProgram('taskkill.exe'), args, options, (error, stdout, stderr) => {
      if (error === null || error.code === NOT_FOUND) resolve(undefined)
      else resolve(`${stderr}${stdout}`.trim() || error.message)
    })
  })
}
