import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Makes a folder and its missing parents. Throws the system's error. Blocks. Node's own `recursive` loops forever where
 * a file system answers ENOENT although the parent exists, as below /proc.
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
