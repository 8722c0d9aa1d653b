import { appendFileSync, constants, readFileSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const FILE = 'users'
const MODE = 0o600

/**
 * The users that functions have been given, also those whose homes are gone: FUNCTIONS_DIR/users, with a line of JSON for
 * each time. A line begins with the end of the one before, so that one that was written in part spoils no other. Many
 * lines are flushed at once. Deploy thread only.
 */
export class GivenUsers {
  private readonly byName = new Map<string, number>()
  private readonly byUid = new Map<number, string>()
  private readonly file: string
  /** Lines added, and those of them that are on disk. A thread before this one may have left some that are not. */
  private added = 1
  private durable = 0
  private flushing: Promise<void> | undefined

  /** Throws the system's error. Blocks. */
  constructor(folder: string) {
    this.file = join(folder, FILE)
    appendFileSync(this.file, '', { mode: MODE })
    for (const line of readFileSync(this.file, 'utf8').split('\n')) {
      const { name, uid } = parse(line) ?? {}
      if (name !== undefined && uid !== undefined) this.note(name, uid)
    }
  }

  /** The function that each user was given to last, the oldest first. */
  get holders(): ReadonlyMap<number, string> {
    return this.byUid
  }

  /** The user that a function had last, unless another function has had it since. */
  of(name: string): number | undefined {
    const uid = this.byName.get(name)
    return uid !== undefined && this.byUid.get(uid) === name ? uid : undefined
  }

  /** Adds a line, be there one already: of one whose flush has failed the system may think that it is on disk. Blocks. */
  add(name: string, uid: number): void {
    appendFileSync(this.file, `\n${JSON.stringify({ name, uid })}`, { mode: MODE })
    this.added++
    this.note(name, uid)
  }

  /** Resolves once the lines added so far are on disk. Rejects with the system's error. */
  async flush(): Promise<void> {
    const wanted = this.added
    while (this.durable < wanted) {
      // What is added while it runs may be too late for it.
      this.flushing ??= this.flushAdded().finally(() => {
        this.flushing = undefined
      })
      await this.flushing
    }
  }

  private async flushAdded(): Promise<void> {
    const { added, file } = this
    await within(file, constants.O_RDONLY, (handle) => handle.datasync())
    if (this.durable === 0) {
      for (const folder of [dirname(file), dirname(dirname(file))]) {
        await within(folder, constants.O_RDONLY | constants.O_DIRECTORY, (handle) => handle.sync())
      }
    }
    this.durable = added
  }

  private note(name: string, uid: number): void {
    this.byName.set(name, uid)
    this.byUid.delete(uid)
    this.byUid.set(uid, name)
  }
}

function parse(line: string): { readonly name: string; readonly uid: number } | undefined {
  try {
    const { name, uid } = JSON.parse(line)
    return typeof name === 'string' && Number.isInteger(uid) ? { name, uid } : undefined
  } catch {
    return undefined
  }
}

async function within(path: string, flags: number, act: (handle: FileHandle) => Promise<void>): Promise<void> {
  const handle = await open(path, flags)
  try {
    await act(handle)
  } finally {
    await handle.close()
  }
}
