import { existsSync, lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { RunAs } from '../os/platform.js'

const ALL = 0o7
const WRITE = 0o2
const ENTER = 0o1
const STICKY = 0o1000

/** A user's rights to a file or folder by its mode: bits of read (4), write (2), execute or enter (1). */
export function rightsOf(user: RunAs, { uid, gid, mode }: Stats): number {
  // An owner can change the mode.
  if (user.uid === 0 || user.uid === uid) return ALL
  if (user.gid === gid || user.groups.includes(gid)) return (mode >> 3) & ALL
  return mode & ALL
}

/** Whether a user can rename and remove files of others in this folder. */
export function mayReplaceIn(user: RunAs, folder: Stats): boolean {
  if (user.uid === folder.uid) return true
  return (rightsOf(user, folder) & WRITE) !== 0 && (folder.mode & STICKY) === 0
}

export function mayWrite(user: RunAs, folder: Stats): boolean {
  return (rightsOf(user, folder) & WRITE) !== 0
}

export function mayEnter(user: RunAs, folder: Stats): boolean {
  return (rightsOf(user, folder) & ENTER) !== 0
}

/**
 * Whether a user can enter every folder above a path; false where the path does not exist, or this process cannot see
 * it.
 */
export function mayReach(user: RunAs, path: string): boolean {
  try {
    return foldersAbove(realpathSync(path)).every((folder) => mayEnter(user, statSync(folder)))
  } catch {
    return false
  }
}

/** The existing folders above a path, as written and, where links lead elsewhere, as resolved. */
export function ancestors(path: string): string[] {
  const folders = new Set([...foldersAbove(path), ...foldersAbove(realPath(path))])
  return [...folders].filter((folder) => lstatSync(folder, { throwIfNoEntry: false })?.isDirectory())
}

/** A path with its links resolved, as far as it exists. */
export function realPath(path: string): string {
  const parent = dirname(resolve(path))
  if (existsSync(path)) return realpathSync(path)
  return parent === resolve(path) ? parent : join(realPath(parent), basename(path))
}

function foldersAbove(path: string): string[] {
  const parent = dirname(resolve(path))
  return parent === resolve(path) ? [] : [parent, ...foldersAbove(parent)]
}
