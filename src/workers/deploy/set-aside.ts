import { readFileSync, renameSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { platform } from '../../os/index.js'
import type { UidRange } from '../../os/platform.js'
import { flushFolder } from './flush-folder.js'

const FILE = 'users-set-aside'
/** `lost` and `last` as below, and the boot of the machine in which that was written. */
const TEXT = /^(?<lost>\d{1,10}) (?<last>\d{1,10}) (?<boot>\S+)\n$/
/** Users set aside by one flush. So many may be skipped where the machine has started again. */
const AT_ONCE = 256

/**
 * Up to which user functions may have been given one, on disk: FUNCTIONS_DIR/users-set-aside. A power cut may lose the
 * homes of new functions, which are not flushed one by one, but never lets another function have the same user. Deploy
 * thread only.
 */
export class SetAside {
  /** The last user that a function may have had whose home a power cut has lost; below the range where there is none. */
  readonly lost: number
  private last: number
  private writing: Promise<void> | undefined

  /** Throws the system's error. Blocks. */
  constructor(
    private readonly folder: string,
    private readonly uids: UidRange,
  ) {
    const none = uids.first - 1
    const { lost, last, boot } = readNote(join(folder, FILE)) ?? { lost: none, last: none }
    const ofRange = (uid: number) => (uid >= uids.first && uid <= uids.last ? uid : none)
    this.last = ofRange(last)
    // What this boot has made is still there.
    this.lost = boot !== undefined && boot === platform.bootId() ? ofRange(lost) : this.last
  }

  /** Resolves once this user and those below it are set aside. Rejects with the system's error. */
  async include(uid: number): Promise<void> {
    while (uid > this.last) {
      this.writing ??= this.write(Math.min(uid + AT_ONCE - 1, this.uids.last)).finally(() => {
        this.writing = undefined
      })
      await this.writing
    }
  }

  private async write(last: number): Promise<void> {
    const file = join(this.folder, FILE)
    const unfinished = `${file}.new`
    const handle = await open(unfinished, 'w', 0o600)
    try {
      await handle.writeFile(`${this.lost} ${last} ${platform.bootId() ?? 'unknown'}\n`)
      await handle.sync()
    } finally {
      await handle.close()
    }
    renameSync(unfinished, file)
    await flushFolder(this.folder)
    await flushFolder(dirname(this.folder))
    this.last = last
  }
}

function readNote(file: string): { readonly lost: number; readonly last: number; readonly boot?: string } | undefined {
  const { lost, last, boot } = TEXT.exec(readIfThere(file) ?? '')?.groups ?? {}
  if (lost === undefined || last === undefined || boot === undefined) return undefined
  return { lost: Number(lost), last: Number(last), boot }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'latin1')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    return undefined
  }
}
