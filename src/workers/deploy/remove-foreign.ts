import { constants } from 'node:fs'
import { type FileHandle, open, readdir, rename, rmdir, unlink } from 'node:fs/promises'

const FOLDER = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW
/** Whoever writes as fast as this removes must not keep it busy for ever. */
const LIMIT_MS = 30_000

/**
 * Removes a folder that another user writes to meanwhile, as root: whatever links that user puts in the way, nothing
 * else is touched. (A process with that user's rights would do, and could be traced by it, outside its sandbox.) Each
 * step names an open folder and one name in it; folders are moved up first, so that no depth needs more. Rejects with
 * the system's error, also where the folder is filled again and again. Linux only.
 */
export async function removeForeign(dir: string): Promise<void> {
  const giveUp = performance.now() + LIMIT_MS
  const folder = await open(dir, FOLDER)
  try {
    let moved = 0
    const moveUp = (from: Buffer) => rename(from, below(folder, `.${++moved}-${process.pid}`))
    for (;;) {
      for (const name of await list(folder)) await remove(below(folder, name), moveUp)
      try {
        return await rmdir(dir)
      } catch (error) {
        // It may have been filled again since it was read.
        if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY' || performance.now() >= giveUp) throw error
      }
    }
  } finally {
    await folder.close()
  }
}

async function remove(path: Buffer, moveUp: (path: Buffer) => Promise<void>): Promise<void> {
  if (await unlinked(path)) return
  const folder = await unless(open(path, FOLDER), 'ENOENT', 'ENOTDIR', 'ELOOP')
  if (!folder) return
  try {
    for (const name of await list(folder)) {
      const inside = below(folder, name)
      if (!(await unlinked(inside))) await unless(moveUp(inside), 'ENOENT', 'ENOTEMPTY', 'EEXIST')
    }
  } finally {
    await folder.close()
  }
  await unless(rmdir(path), 'ENOENT', 'ENOTDIR', 'ENOTEMPTY')
}

/** False where it is a folder. */
async function unlinked(path: Buffer): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EISDIR') throw error
    return code === 'ENOENT'
  }
}

function list(folder: FileHandle): Promise<Buffer[]> {
  return readdir(`/proc/self/fd/${folder.fd}`, { encoding: 'buffer' })
}

function below(folder: FileHandle, name: Buffer | string): Buffer {
  return Buffer.concat([Buffer.from(`/proc/self/fd/${folder.fd}/`), Buffer.from(name)])
}

/** Undefined where it fails by one of these codes, as somebody else was faster: the next turn sees what is there. */
async function unless<T>(step: Promise<T>, ...codes: string[]): Promise<T | undefined> {
  try {
    return await step
  } catch (error) {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return undefined
  }
}
