import { fchmodSync, fchownSync, fstatSync, lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { withFolder } from '../../archive/access.js'
import { ArchiveRefused, refuseSystemError } from '../../archive/refused.js'
import { HOMES_DIR, type UidRange } from '../../os/platform.js'
import type { FunctionUsers } from '../../threads/messages.js'
import { flushFolder } from './flush-folder.js'
import { makePassage } from './function-folders.js'
import { SetAside } from './set-aside.js'

/**
 * Each function's user is remembered by its home: the folder's owner. So the two cannot contradict each other, whenever
 * the agent is killed: a home that still belongs to the agent has no user yet.
 */
export type SeparateUsers = Extract<FunctionUsers, { readonly kind: 'separate' }>

const HOME_MODE = 0o700

/** What this thread has read, by FUNCTIONS_DIR and range. */
const read = new Map<string, Users>()

/**
 * The user ids (and group ids, which are the same) of functions, by name. Those without one get it, with a home.
 * ArchiveRefused instead: why that function has none. Resolves once they would survive a power cut. Rejects with the
 * system's error. Deploy thread only, as root.
 */
export async function openUsers(
  { folder, uids }: Pick<SeparateUsers, 'folder' | 'uids'>,
  names: readonly string[],
): Promise<Map<string, number | ArchiveRefused>> {
  const homes = join(folder, HOMES_DIR)
  const key = `${homes} ${uids.first}-${uids.last}`
  let users = read.get(key)
  if (!users) {
    makePassage(folder)
    makePassage(homes)
    users = new Users(folder, uids)
    read.set(key, users)
  }
  const opened = new Map<string, number | ArchiveRefused>()
  const reused: string[] = []
  let highest = -1
  for (const name of names) {
    try {
      const { uid, isReused } = users.open(name)
      opened.set(name, uid)
      highest = Math.max(highest, uid)
      if (isReused) reused.push(join(homes, name))
    } catch (error) {
      const refused = refuseSystemError(`function ${name} gets no user of its own: ${join(homes, name)}`, error)
      if (!(refused instanceof ArchiveRefused)) throw refused
      opened.set(name, refused)
    }
  }
  // Another function must never be given the same one.
  await users.setAside.include(highest)
  for (const home of reused) await flushFolder(home)
  if (reused.length > 0) await flushFolder(homes)
  return opened
}

/** As `openUsers`, for one function. Rejects with ArchiveRefused as well. */
export async function openUser(users: Pick<SeparateUsers, 'folder' | 'uids'>, name: string): Promise<number> {
  const uid = (await openUsers(users, [name])).get(name)
  if (typeof uid === 'number') return uid
  throw uid
}

class Users {
  private readonly byName = new Map<string, number>()
  private readonly byUid = new Map<number, string>()
  private readonly homes: string
  readonly setAside: SetAside
  private highest: number

  /** Throws the system's error. Blocks. */
  constructor(
    folder: string,
    private readonly uids: UidRange,
  ) {
    this.homes = join(folder, HOMES_DIR)
    this.setAside = new SetAside(folder, uids)
    this.highest = this.setAside.lost
    const found = readdirSync(this.homes).map((name) => ({ name, stats: lstatSync(join(this.homes, name)) }))
    // A copy is younger, and has no right to the user of what it was copied from.
    found.sort((a, b) => a.stats.birthtimeMs - b.stats.birthtimeMs)
    for (const { name, stats } of found) {
      if (stats.isDirectory() && this.isInRange(stats.uid) && !this.byUid.has(stats.uid)) this.note(name, stats.uid)
    }
  }

  /** `isReused`: another function may have had the user before, so that only its home tells whose it is now. */
  open(name: string): { readonly uid: number; readonly isReused: boolean } {
    const home = join(this.homes, name)
    const found = lstatSync(home, { throwIfNoEntry: false })
    const uid = (found && this.ownerOf(name, home, found)) ?? this.byName.get(name) ?? this.unused()
    if (!found) mkdirSync(home, HOME_MODE)
    const isNew = withFolder(home, (fd) => {
      const before = fstatSync(fd)
      if (before.uid !== uid || before.gid !== uid) fchownSync(fd, uid, uid)
      if ((before.mode & 0o7777) !== HOME_MODE) fchmodSync(fd, HOME_MODE)
      return before.uid !== uid
    })
    const isReused = isNew && uid <= this.highest
    this.note(name, uid)
    return { uid, isReused }
  }

  /** Undefined where the home has none yet. */
  private ownerOf(name: string, home: string, { uid }: Stats): number | undefined {
    if (uid === process.geteuid?.()) return undefined
    const { first, last } = this.uids
    const fix = `move ${home} away, and the function gets a new one`
    if (!this.isInRange(uid)) {
      throw new ArchiveRefused(
        `function ${name} gets no user of its own: its home ${home} belongs to user ${uid}, and functions.uids is ` +
          `${first}-${last}: give the range that it comes from, or ${fix}`,
      )
    }
    const other = this.byUid.get(uid)
    if (other === undefined || other === name) return uid
    throw new ArchiveRefused(
      `function ${name} gets no user of its own: its home ${home} belongs to user ${uid}, who is function ${other}: ${fix}`,
    )
  }

  private unused(): number {
    const { first, last } = this.uids
    if (this.highest < last) return this.highest + 1
    for (let uid = first; uid <= last; uid++) if (!this.byUid.has(uid)) return uid
    throw new ArchiveRefused(
      `functions.uids ${first}-${last} has no user left for one more function: give a wider range, or remove homes that ` +
        `no function needs from ${this.homes} and start the agent again`,
    )
  }

  private note(name: string, uid: number): void {
    this.byName.set(name, uid)
    this.byUid.set(uid, name)
    this.highest = Math.max(this.highest, uid)
  }

  private isInRange(uid: number): boolean {
    return uid >= this.uids.first && uid <= this.uids.last
  }
}
