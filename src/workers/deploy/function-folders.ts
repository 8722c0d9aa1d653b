import { fchmodSync, fstatSync } from 'node:fs'
import { withFolder } from '../../archive/access.js'
import { makeFolders } from '../../os/make-folders.js'

/** Functions may pass, and see nothing of each other. */
const PASSAGE = 0o711

/**
 * Makes a folder of the agent's that leads to functions' own ones, with its missing parents. Throws the system's error,
 * also where `path` is a symbolic link. Blocks.
 */
export function makePassage(path: string): void {
  makeFolders(path, PASSAGE)
  if (process.platform === 'win32') return
  withFolder(path, (fd) => {
    if ((fstatSync(fd).mode & 0o7777) !== PASSAGE) fchmodSync(fd, PASSAGE)
  })
}
