import { closeSync, constants, fchmodSync, fchownSync, openSync } from 'node:fs'
import type { RunAs } from '../os/platform.js'

/** Who may do what with deployed code. Windows keeps its own lists and ignores the modes. */
export interface Access {
  readonly folder: number
  readonly file: number
  readonly program: number
  /** The group that may read; undefined: the functions run as the agent's own user. */
  readonly gid: number | undefined
}

/** Functions read and run their code and never change it: it is the agent's, and the runner's only by its group. */
export function accessFor(runAs: RunAs | undefined): Access {
  return runAs === undefined
    ? { folder: 0o700, file: 0o600, program: 0o700, gid: undefined }
    : { folder: 0o750, file: 0o640, program: 0o750, gid: runAs.gid }
}

/** Gives an open file its mode whatever the umask, and its group. */
export function grant(fd: number, mode: number, access: Access): void {
  if (access.gid !== undefined) fchownSync(fd, process.geteuid?.() ?? -1, access.gid)
  fchmodSync(fd, mode)
}

/** The same for a folder, which must be one and no symbolic link to one. */
export function grantFolder(path: string, access: Access): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    grant(fd, access.folder, access)
  } finally {
    closeSync(fd)
  }
}
