import type { Stats } from 'node:fs'
import { getSystemErrorMap } from 'node:util'
import { CommandFailure } from '../failure.js'
import { formatBytes } from '../format.js'

/** A file or folder of a function's code, where it is and what it is called in the code. */
interface Place {
  readonly source: string
  readonly path: string
}

/** How many files are named where all together are too much. */
const NAMED = 3

/** A failed system call as one line with a way out; any other error as it is. */
export function unreadable({ source, path }: Place, error: unknown): unknown {
  if (!(error instanceof Error && 'errno' in error && 'code' in error)) return error
  if (error.code === 'ENOENT') {
    return new CommandFailure(`${source} has vanished, or is a link to nothing: deploy again, or ${without(path)}`)
  }
  const reason = getSystemErrorMap().get(Number(error.errno))?.[1] ?? error.message
  return new CommandFailure(`cannot read ${source} (${reason}): make it readable for you, or ${without(path)}`)
}

/** A file that was written to while it was read. */
export function changed({ source, path }: Place): CommandFailure {
  return new CommandFailure(`${source} changes while it is read: stop what writes to it, or ${without(path)}`)
}

/** Neither file, folder nor link. */
export function special({ source, path }: Place, found: Stats): CommandFailure {
  const kind = found.isFIFO() ? 'FIFO' : found.isSocket() ? 'socket' : 'device'
  return new CommandFailure(
    `${source} is a ${kind}; only files, folders and symbolic links can be sent: ${without(path)}`,
  )
}

/** Code that packs to more than `limit` bytes; with the files that make most of it. */
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
