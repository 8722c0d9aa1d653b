import { execFile } from 'node:child_process'
import { systemProgram } from './system.js'

/** Longer than Windows takes to end the largest tree. */
const LIMIT_MS = 10_000
/** What taskkill exits with where there is no such process. */
const NOT_FOUND = 128

/**
 * Ends a process and what descends from it by a chain of processes that live. Resolves when that is done, with what
 * taskkill says where it could not end all of them. From any thread.
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
