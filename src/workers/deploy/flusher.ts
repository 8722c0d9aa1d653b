import { closeSync, constants, fsync, openSync } from 'node:fs'
import { promisify } from 'node:util'
import { inLanes } from '../../archive/lanes.js'

/** At a time: together they take a file system as long as one. */
const AT_ONCE = 8

const flushed = promisify(fsync)

/** Has folders survive a power cut, with what is in them by name: of many callers at once with one turn of the disk. */
export class Flusher {
  private readonly waiting = new Set<string>()
  private running: Promise<unknown> = Promise.resolve()
  private next: Promise<void> | undefined

  /** Resolves once these folders are on disk as they are now. Rejects with the system's error. */
  flush(folders: readonly string[]): Promise<void> {
    if (folders.length === 0) return Promise.resolve()
    for (const folder of folders) this.waiting.add(folder)
    // What comes while a flush runs may be too late for it.
    this.next ??= this.running.then(() => this.flushWaiting())
    return this.next
  }

  private flushWaiting(): Promise<void> {
    const folders = [...this.waiting]
    this.waiting.clear()
    this.next = undefined
    const done = inLanes(folders, AT_ONCE, flush)
    this.running = done.catch(() => {})
    return done
  }
}

async function flush(folder: string): Promise<void> {
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    await flushed(fd)
  } finally {
    closeSync(fd)
  }
}
