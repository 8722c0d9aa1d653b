import { closeSync, constants, fchmodSync, fchownSync, fstatSync, lstatSync, openSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { type Access, grantFolder } from '../../archive/access.js'

/** Without waiting, should it be a FIFO. */
const OPEN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const PROGRAM = 0o100

/**
 * Gives a version that was deployed for others, as before functions were separate, to those that run it today. A
 * version that already is theirs costs three system calls. `inUse`: executions of the earlier user run it, and go on
 * reading it: they are all that can reach it by the rights of others, as the apps folder lets nobody else in. The next
 * start takes those away. Throws the system's error. Blocks.
 */
export function regroup(versionDir: string, access: Access, inUse: boolean): void {
  if (access.gid === undefined) return
  const versions = dirname(versionDir)
  for (const above of [dirname(versions), versions]) {
    if (!isGranted(above, access.gid, access.above)) grantFolder(above, access, access.above)
  }
  const { gid, mode } = lstatSync(versionDir)
  if (gid === access.gid && (inUse || (mode & 0o7777) === access.folder)) return
  grantTree(versionDir, access, inUse)
}

/** The folder itself comes last: once it is granted, everything in it is. */
function grantTree(path: string, access: Access, toOthers: boolean): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    const inside = join(path, entry.name)
    if (entry.isDirectory()) grantTree(inside, access, toOthers)
    else if (entry.isFile()) grantTo(inside, access, toOthers)
  }
  grantTo(path, access, toOthers)
}

function grantTo(path: string, access: Access, toOthers: boolean): void {
  const fd = openSync(path, OPEN)
  try {
    const found = fstatSync(fd)
    const mode = found.isDirectory() ? access.folder : (found.mode & PROGRAM) === 0 ? access.file : access.program
    fchownSync(fd, found.uid, access.gid ?? found.gid)
    fchmodSync(fd, toOthers ? mode | ((mode >> 3) & 0o7) : mode)
  } finally {
    closeSync(fd)
  }
}

function isGranted(folder: string, gid: number, mode: number): boolean {
  const found = lstatSync(folder)
  return found.gid === gid && (found.mode & 0o7777) === mode
}
