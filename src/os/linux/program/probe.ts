import { constants } from 'node:fs'
import { access, type FileHandle, open } from 'node:fs/promises'

/** open(2): opens no FIFO and no device, so nothing waits or starts. */
const O_PATH = 0o10000000
const READ_NOW = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
const LIMIT_MS = 1_000

/** The files belong to functions, and their file systems may block a reader forever. */
let turn: Promise<unknown> = Promise.resolve()
let hanging = false

/**
 * Runs `look`, one call after the other. Undefined where it takes over a second; then also for all other calls until it
 * has ended. So at most one thread of libuv's pool hangs for each calling thread.
 */
export function within<T>(look: () => Promise<T>): Promise<T | undefined> {
  const looked = turn.then(() => (hanging ? undefined : limited(look())))
  turn = looked.catch(() => undefined)
  return looked
}

function limited<T>(found: Promise<T>): Promise<T | undefined> {
  let limit: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    limit = setTimeout(() => {
      hanging = true
      const ended = () => {
        hanging = false
      }
      found.then(ended, ended)
      resolve(undefined)
    }, LIMIT_MS)
  })
  return Promise.race([found, late]).finally(() => clearTimeout(limit))
}

/** The kind of file at a path; undefined where there is none, or it cannot be seen. */
export async function kindOf(path: string): Promise<'file' | 'folder' | 'FIFO' | 'socket' | 'device' | undefined> {
  return withPath(path, async (handle) => {
    const found = await handle.stat()
    if (found.isFile()) return 'file'
    if (found.isDirectory()) return 'folder'
    if (found.isFIFO()) return 'FIFO'
    return found.isSocket() ? 'socket' : 'device'
  })
}

/**
 * The first bytes of a regular file; undefined where it is none or cannot be read at once. Files that report size 0, as
 * in /proc, count as empty: reading some of them blocks, or consumes what is meant for others.
 */
export async function readHead(path: string, bytes: number): Promise<Buffer | undefined> {
  return withPath(path, async (handle) => {
    const found = await handle.stat()
    if (!found.isFile()) return undefined
    if (found.size === 0) return Buffer.alloc(0)
    // The file that was examined, even if the path has changed.
    const file = await open(`/proc/self/fd/${handle.fd}`, READ_NOW)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  })
}

/** A file's size, bytes; 0 where it cannot be seen. */
export async function sizeOf(path: string): Promise<number> {
  return (await withPath(path, async (handle) => (await handle.stat()).size)) ?? 0
}

export async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

async function withPath<T>(path: string, use: (handle: FileHandle) => Promise<T>): Promise<T | undefined> {
  try {
    const handle = await open(path, O_PATH)
    try {
      return await use(handle)
    } finally {
      await handle.close()
    }
  } catch {
    return undefined
  }
}
