import { spawnSync } from 'node:child_process'
import { win32 } from 'node:path'
import { systemProgram } from './system.js'

/**
 * See Platform.processStartTime. Compares the program's name, since Windows reuses pids soon after a restart and only a
 * slow PowerShell knows start times. Blocks for tenths of a second, except for this process.
 */
export function processStartTime(pid: number): string | undefined {
  if (pid === process.pid) return win32.basename(process.execPath).toLowerCase()
  const flags = ['/FI', `PID eq ${pid}`, '/FO', 'CSV', '/NH']
  const { stdout } = spawnSync(systemProgram('tasklist.exe'), flags, { encoding: 'utf8', windowsHide: true })
  // On a pipe Windows writes one byte a character, Wine two.
  const line = (stdout ?? '').replaceAll('\0', '')
  return /^"(?<name>[^"]+)","\d+"/.exec(line)?.groups?.['name']?.toLowerCase()
}
