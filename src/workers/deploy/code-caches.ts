import { fchmodSync, fchownSync, fstatSync, lstatSync, mkdirSync, readdirSync } from 'node:fs'
import { lstat, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { withFolder } from '../../archive/access.js'
import { makePassage } from './function-folders.js'
import { removeForeign } from './remove-foreign.js'

/**
 * What interpreters keep of a version's code, which they cannot write to: CACHES_DIR/NAME/VERSION, written by the
 * function alone, and removed with the version. A function can spoil its own later starts by it, and nobody else's.
 */

const MODE = 0o700

/** The cache of a version of a function. */
export function cacheOf(cachesDir: string, versionDir: string): string {
  return join(cachesDir, basename(dirname(dirname(versionDir))), basename(versionDir))
}

/**
 * Makes a version's cache, unless it is there, and answers its path. `uid`: its owner, where that is not the agent's
 * user. Rejects with the system's error.
 */
export async function openCache(cachesDir: string, versionDir: string, uid: number | undefined): Promise<string> {
  const dir = cacheOf(cachesDir, versionDir)
  const found = lstatSync(dir, { throwIfNoEntry: false })
  if (found) {
    const isOwn = found.isDirectory() && found.uid === (uid ?? process.geteuid?.() ?? found.uid)
    if (isOwn && (found.mode & 0o7777) === MODE) return dir
    if (!isOwn) await removeCache(dir)
  }
  for (const above of [dirname(cachesDir), cachesDir, dirname(dir)]) makePassage(above)
  makeOwn(dir, uid)
  return dir
}

function makeOwn(dir: string, uid: number | undefined): void {
  try {
    mkdirSync(dir, MODE)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
  if (process.platform === 'win32') return
  withFolder(dir, (fd) => {
    const { uid: owner, mode } = fstatSync(fd)
    if (uid !== undefined && owner !== uid) fchownSync(fd, uid, uid)
    if ((mode & 0o7777) !== MODE) fchmodSync(fd, MODE)
  })
}

/**
 * Removes a cache, if it is there. Rejects with the system's error, also where the function fills it again and again.
 */
export async function removeCache(dir: string): Promise<void> {
  const found = await lstat(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return undefined
  })
  if (!found) return
  if (found.isDirectory() && found.uid !== (process.geteuid?.() ?? found.uid)) {
    await removeForeign(dir)
  } else {
    await rm(dir, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Caches below `cachesDir` other than those that are needed. Throws the system's error. Blocks. */
export function staleCaches(cachesDir: string, needed: ReadonlySet<string>): string[] {
  const stale: string[] = []
  for (const name of namesIn(cachesDir)) {
    for (const version of namesIn(join(cachesDir, name))) {
      const dir = join(cachesDir, name, version)
      if (!needed.has(dir)) stale.push(dir)
    }
  }
  return stale
}

/** Removes caches that no version needs; answers why some are left to the next start. */
export async function removeCaches(dirs: readonly string[]): Promise<string[]> {
  const problems: string[] = []
  for (const dir of dirs) await removeCache(dir).catch(({ message }: Error) => problems.push(message))
  return problems
}

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return []
    throw error
  }
}
