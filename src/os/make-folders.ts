import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * A folder, and those above it that are missing. Throws the system's error. Blocks. Node's own, `recursive`, never ends
 * where a file system answers ENOENT although the folder above exists, as below /proc.
 */
export function makeFolders(path: string, mode?: number): void {
  if (existsSync(path)) return
  const above = dirname(path)
  if (above !== path) makeFolders(above, mode)
  try {
    mkdirSync(path, mode)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}
