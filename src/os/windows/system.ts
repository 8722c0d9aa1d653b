import { win32 } from 'node:path'

/** Where Windows is. */
export const SYSTEM_ROOT = process.env['SystemRoot'] ?? 'C:\\Windows'

/** The path of a program that comes with Windows, whatever PATH says. */
export function systemProgram(path: string): string {
  return win32.join(SYSTEM_ROOT, 'System32', path)
}
