import { closeSync, constants, fchmodSync, fchownSync, openSync } from 'node:fs'
import type { RunAs } from '../os/platform.js'

/** File modes of deployed code. Windows has access lists instead and ignores the modes. */
export interface Access {
  readonly folder: number
  readonly file: number
  readonly program: number
  /** The group that may read; undefined where functions run as the agent's own user. */
  readonly gid: number | undefined
}

/**
 * Modes by which functions can read and run their code but not change it: the agent owns it, the runner has it by
 * group.
 */
export function accessFor(runAs: RunAs | undefined): Access {
  return runAs === undefined
    ? { folder: 0o700, file: 0o600, program: 0o700, gid: undefined }
    : { folder: 0o750, file: 0o640, program: 0o750, gid: runAs.gid }
}

/** Sets the mode and group of an open file, independent of the umask. Throws the system's error. Blocks. */
export function grant(fd: number, mode: number, access: Access): void {
  if (access.gid !== undefined) fchownSync(fd, process.geteuid?.() ?? -1, access.gid)
  fchmodSync(fd, mode)
}

/** Sets the mode and group of a folder. Throws the system's error, also where `path` is a symbolic link. Blocks. */
export function grantFolder(path: string, access: Access): void {
  if (process.platform === 'win32') return
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    grant(fd, access.folder, access)
  } finally {
    closeSync(fd)
  }
}
