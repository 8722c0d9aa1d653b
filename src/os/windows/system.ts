import { win32 } from 'node:path'

/** The folder of Windows. */
export const SYSTEM_ROOT = process.env['SystemRoot'] ?? 'C:\\Windows'

/** The path of a program of Windows, independent of PATH. */
export function systemProgram(path: string): string {
  return win32.join(SYSTEM_ROOT, 'System32', path)
}
