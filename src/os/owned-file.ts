import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats } from 'node:fs'

const GROUP_WRITE = 0o020
const OTHERS_WRITE = 0o002

/** What a file says is not to be acted on, since somebody else may have written it. */
export class ForeignFile extends Error {
  override readonly name = 'ForeignFile'
  readonly code = 'FOREIGN_FILE'
}

/**
 * Why root is not to act on what another user may have put there, with what fixes it; undefined where it may, or where
 * this process is not root's. The folders above may be anybody's: whoever owns one can remove a file of root's, but
 * make none that is root's (as with StrictModes of sshd_config(5), but for that).
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

/** Reads what this process will act on. Blocks. Throws ForeignFile, or the system's error. */
export function readOwnFile(path: string): Buffer {
  // Whatever lies there: it is neither waited for nor read before it is known whose it is.
  const fd = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    const problem = foreignProblem(path, fstatSync(fd))
    if (problem) throw new ForeignFile(problem)
    return readFileSync(fd)
  } finally {
    closeSync(fd)
  }
}
