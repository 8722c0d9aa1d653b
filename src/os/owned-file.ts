import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'

const GROUP_WRITE = 0o020
const OTHERS_WRITE = 0o002

/** A file must not be trusted, since somebody else may have written it. */
export class ForeignFile extends Error {
  override readonly name = 'ForeignFile'
  readonly code = 'FOREIGN_FILE'
}

/**
 * Why root must not trust a file that another user may have written, with the fix; undefined where it may, or where
 * this process is not root. The folders above may belong to anybody: their owner can remove root's file, but not make
 * one that belongs to root (compare StrictModes in sshd_config(5)).
 */
export function foreignProblem(path: string, { uid, gid, mode }: Stats): string | undefined {
  if (process.geteuid?.() !== 0) return undefined
  if (uid !== 0) {
    return `${path}: belongs to user ${uid}, and root acts on root's files alone; chown root ${path}, or run this as that user`
  }
  const writers = mode & (OTHERS_WRITE | (gid === 0 ? 0 : GROUP_WRITE))
  if (writers === 0) return undefined
  const who = writers & OTHERS_WRITE ? 'everybody' : `group ${gid}`
  return `${path}: ${who} may write it, and root acts on root's files alone; chmod go-w ${path}`
}

/** Reads a file that this process will act on. Throws ForeignFile, or the system's error. Blocks. */
export function readOwnFile(path: string): Buffer {
  // Without waiting, should it be a FIFO, and without reading before its owner is known.
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const problem = foreignProblem(path, fstatSync(fd))
    if (problem) throw new ForeignFile(problem)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}
