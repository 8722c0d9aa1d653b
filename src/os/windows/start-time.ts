import { spawnSync } from 'node:child_process'
import { win32 } from 'node:path'
import { systemProgram } from './system.js'

/**
 * See Platform.processStartTime. By the program's name, as Windows gives a pid to another soon after a restart, and when a
 * process began only a slow PowerShell would tell. Blocks for tenths of a second for others than this process.
 */
export function processStartTime(pid: number): string | undefined {
  if (pid === process.pid) return win32.basename(process.execPath).toLowerCase()
  const flags = ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH']
  const { stdout } = spawnSync(systemProgram('tasklist.exe'), flags, { encoding: 'utf8', windowsHide: true })
  // Into a pipe Windows writes a byte a character and Wine two.
  const line = (stdout ?? '').replaceAll('\0', '')
  return /^"(?<name>[^"]+)","\d+"/.exec(line)?.groups?.['name']?.toLowerCase()
}
