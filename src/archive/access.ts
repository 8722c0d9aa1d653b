import { closeSync, constants, fchmodSync, fchownSync, openSync } from 'node:fs'

/** File modes of deployed code. Windows has access lists instead and ignores the modes. */
export interface Access {
  /** Of the folders above a version, which lead to those of functions that once had another group. */
  readonly above: number
  readonly folder: number
  readonly file: number
  readonly program: number
  /** The group that may read; undefined where functions run as the agent's own user. */
  readonly gid: number | undefined
}

/**
 * Modes by which functions can read and run their code but not change it: the agent owns it, they have it by group.
 * `gid`: undefined where they run as the agent's own user.
 */
export function accessFor(gid: number | undefined): Access {
  return gid === undefined
    ? { above: 0o700, folder: 0o700, file: 0o600, program: 0o700, gid }
    : { above: 0o751, folder: 0o750, file: 0o640, program: 0o750, gid }
}

/** Sets the mode and group of an open file, independent of the umask. Throws the system's error. Blocks. */
export function grant(fd: number, mode: number, { gid }: Pick<Access, 'gid'>): void {
  if (gid !== undefined) fchownSync(fd, process.geteuid?.() ?? -1, gid)
  fchmodSync(fd, mode)
}

/** Sets the mode and group of a folder. Throws the system's error, also where `path` is a symbolic link. Blocks. */
export function grantFolder(path: string, access: Access, mode = access.folder): void {
  if (process.platform === 'win32') return
  withFolder(path, (fd) => grant(fd, mode, access))
}

/** Opens a folder for a moment. Throws the system's error, also where `path` is a symbolic link. Blocks. */
export function withFolder<T>(path: string, act: (fd: number) => T): T {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    return act(fd)
  } finally {
    closeSync(fd)
  }
}
