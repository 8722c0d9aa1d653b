import type { Stats } from 'node:fs'
import { getSystemErrorMap } from 'node:util'
import { CommandFailure } from '../failure.js'
import { formatBytes } from '../format.js'

/** A file or folder: its path on disk, and in the code. */
interface Place {
  readonly source: string
  readonly path: string
}

/** The number of files named when all together are too large. */
const NAMED = 3

/** Turns a failed system call into one line with a way out; other errors come back unchanged. */
export function unreadable({ source, path }: Place, error: unknown): unknown {
  if (!(error instanceof Error && 'errno' in error && 'code' in error)) return error
  if (error.code === 'ENOENT') {
    return new CommandFailure(`${source} has vanished, or is a link to nothing: deploy again, or ${without(path)}`)
  }
  const reason = getSystemErrorMap().get(Number(error.errno))?.[1] ?? error.message
  return new CommandFailure(`cannot read ${source} (${reason}): make it readable for you, or ${without(path)}`)
}

/** The file changed while it was read. */
export function changed({ source, path }: Place): CommandFailure {
  return new CommandFailure(`${source} changes while it is read: stop what writes to it, or ${without(path)}`)
}

/** The path is neither a file, a folder nor a link. */
export function special({ source, path }: Place, found: Stats): CommandFailure {
  const kind = found.isFIFO() ? 'FIFO' : found.isSocket() ? 'socket' : 'device'
  return new CommandFailure(
    `${source} is a ${kind}; only files, folders and symbolic links can be sent: ${without(path)}`,
  )
}

/** The archive exceeds `limit` bytes; names the largest files. */
export function tooLarge(
  path: string,
  limit: number,
  files: readonly { path: string; size: number }[],
): CommandFailure {
  const largest = [...files].sort((a, b) => b.size - a.size).slice(0, NAMED)
  const named = largest.map((file) => `${file.path} (${formatBytes(file.size)})`).join(', ')
  const fix = largest.length === 0 ? '' : `; leave out by --exclude what it does not need, of ${named} first`
  return new CommandFailure(
    `${path} is too large: its archive is over ${formatBytes(limit)}, and one message holds no more${fix}`,
  )
}

function without(path: string): string {
  return `leave it out by --exclude ${path || 'its path'}`
}
