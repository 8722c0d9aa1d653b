import type { StoreProblem } from '../store.js'

/** The fix is made from the store's folder. */
const RULES: readonly (readonly [RegExp, permanent: boolean, fix: (path: string) => string])[] = [
  [/no space left|ENOSPC/i, false, (path) => `free space in the file system of ${path}`],
  // LMDB reports a partial write as an I/O error.
  [/input\/output error|EIO\b/i, false, (path) => `free space in the file system of ${path}, or replace its disk`],
  [/quota|EDQUOT/i, false, () => "free space of the agent's user, or raise its quota"],
  [/read-only|EROFS/i, true, (path) => `make the file system of ${path} writable, or give another state_dir`],
  [
    /permission denied|operation not permitted|EACCES|EPERM/i,
    true,
    (path) => `make ${path} and everything in it the agent's own, and writable`,
  ],
  [/ENOTDIR|EEXIST|not a directory/i, true, (path) => `${path} has to be a folder, or free for one`],
  [
    /invalid|corrupt|version mismatch|MDB_/i,
    true,
    (path) => `its files are damaged, or no store: move ${path} away, which loses functions and records`,
  ],
]

/** Explains an error of LMDB, or of the file system below it. */
export function embeddedProblem(error: unknown, path: string): StoreProblem {
  const problem = error instanceof Error ? error.message : String(error)
  const [, permanent = false, fix] = RULES.find(([pattern]) => pattern.test(problem)) ?? []
  return { problem, fix: fix?.(path), permanent }
}
