/** Reasons of system errors, and fixes. */
const REASONS: Readonly<Record<string, readonly [reason: string, fix: string]>> = {
  ENOSPC: ['its disk is full', 'free space there'],
  EDQUOT: ['the quota on its disk is used up', 'free space there, or raise the quota'],
  EROFS: ['it lies on a file system that is read-only', 'mount that to be written, or give another place'],
  EACCES: ['this user may not', "make it and the folders above the agent's own, or give another place"],
  EPERM: ['this user may not', "make it the agent's own, or give another place"],
  ENOENT: ['it is not there', 'make it, or give another place'],
  ENOTDIR: ['a part of its path is no folder', 'give another place'],
  EISDIR: ['it is a folder', 'move it away'],
  ELOOP: ['its path has too many links', 'give another place'],
  ENAMETOOLONG: ['its path is too long', 'give another place'],
  EIO: ['its disk fails', 'look at what the kernel says (dmesg)'],
  EMFILE: ['this process may open no more files', 'raise its limit (LimitNOFILE= of the unit, ulimit -n)'],
  ENFILE: ['this machine may open no more files', 'raise fs.file-max'],
  ENOMEM: ['this machine has no memory left', 'free some'],
  ETIMEDOUT: ['it did not end in time', 'see what holds this machine up'],
  EAGAIN: ['this user may start no more processes or threads', 'raise the limit (TasksMax= of the unit, ulimit -u)'],
}

const FAILED: Readonly<Record<string, string>> = {
  open: 'cannot be opened',
  mkdir: 'cannot be made',
  scandir: 'cannot be listed',
  opendir: 'cannot be listed',
  read: 'cannot be read',
  write: 'cannot be written',
  fsync: 'cannot be written',
  rename: 'cannot be renamed',
  unlink: 'cannot be removed',
  rm: 'cannot be removed',
  rmdir: 'cannot be removed',
  spawn: 'cannot be run',
  spawnSync: 'cannot be run',
}

/** One sentence for a system error: which file, what failed, why, and the fix. Undefined for other errors. */
export function systemFailure(error: unknown): string | undefined {
  const { code, syscall, path } = error as NodeJS.ErrnoException
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return undefined
  const [call = syscall] = syscall.split(' ')
  const [reason, fix] = REASONS[code] ?? [error.message, 'see what the system says of it']
  return `${path ?? 'a file'}: ${FAILED[call] ?? `${call} fails`}: ${reason} (${code}); ${fix}`
}

/** Runs `act`, and adds the path to errors of calls on an open file, which have none. */
export function atPath<T>(path: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (error instanceof Error && 'syscall' in error && !('path' in error)) Object.assign(error, { path })
    throw error
  }
}
