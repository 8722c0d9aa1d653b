import { constants } from 'node:fs'
import { access, type FileHandle, open } from 'node:fs/promises'

/** open(2): the file itself is not opened, so that neither a FIFO waits nor a device begins to do anything. */
const O_PATH = 0o10000000
const READ_NOW = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY
const LIMIT_MS = 1_000

/** What is looked at is the functions' own: a file system of theirs may let whoever looks at it wait for ever. */
let turn: Promise<unknown> = Promise.resolve()
let hanging = false

/**
 * What `look` answers, one look after the other; undefined where that takes more than a second, and then for every
 * other look, too, until it is over. So no more than one thread of libuv's hangs for each thread that looks.
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
      const over = () => {
        hanging = false
      }
      found.then(over, over)
      resolve(undefined)
    }, LIMIT_MS)
  })
  return Promise.race([found, late]).finally(() => clearTimeout(limit))
}

/** What a path leads to; undefined where that is nothing, or cannot be seen. */
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
 * The first bytes of a regular file; undefined where it is none, or cannot be read at once. Those of /proc say that
 * they are empty, and are taken at their word: reading some of them waits, or takes what is there for somebody else.
 */
export async function readHead(path: string, bytes: number): Promise<Buffer | undefined> {
  return withPath(path, async (handle) => {
    const found = await handle.stat()
    if (!found.isFile()) return undefined
    if (found.size === 0) return Buffer.alloc(0)
    // The file that was looked at, whatever the path leads to by now.
    const file = await open(`/proc/self/fd/${handle.fd}`, READ_NOW)
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, 0)
      return buffer.subarray(0, bytesRead)
    } finally {
      await file.close()
    }
  })
}

/** In bytes; 0 where that cannot be seen. */
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
