import { fchmodSync, fchownSync, fstatSync, lstatSync, mkdirSync, readdirSync, type Stats } from 'node:fs'
import { join } from 'node:path'
import { withFolder } from '../../archive/access.js'
import { ArchiveRefused, refuseSystemError } from '../../archive/refused.js'
import { HOMES_DIR, type UidRange } from '../../os/platform.js'
import type { FunctionUsers } from '../../threads/messages.js'
import { makePassage } from './function-folders.js'
import { GivenUsers } from './given-users.js'

/**
 * Each function's user is remembered by its home: the folder's owner. So the two cannot contradict each other, whenever
 * the agent is killed: a home that still belongs to the agent has no user yet. What a power cut must not lose is
 * remembered by GivenUsers as well, so that homes need not be flushed one by one.
 */
export type SeparateUsers = Extract<FunctionUsers, { readonly kind: 'separate' }>

const HOME_MODE = 0o700

/** What this thread has read, by FUNCTIONS_DIR and range. */
const read = new Map<string, Users>()

/**
 * The user ids (and group ids, which are the same) of functions, by name. Those without one get it, with a home.
 * ArchiveRefused instead: why that function has none. Resolves once no power cut can have another function given the
 * same one. Rejects with the system's error. Deploy thread only, as root.
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
  const attempt = (name: string, step: () => number) => {
    try {
      opened.set(name, step())
    } catch (error) {
      const refused = refuseSystemError(`function ${name} gets no user of its own: ${join(homes, name)}`, error)
      if (!(refused instanceof ArchiveRefused)) throw refused
      opened.set(name, refused)
    }
  }
  for (const name of names) attempt(name, () => users.choose(name))
  await users.given.flush()
  for (const [name, uid] of opened) if (typeof uid === 'number') attempt(name, () => users.give(name, uid))
  return opened
}

/** As `openUsers`, for one function. Rejects with ArchiveRefused as well. */
export async function openUser(users: Pick<SeparateUsers, 'folder' | 'uids'>, name: string): Promise<number> {
  const uid = (await openUsers(users, [name])).get(name)
  if (typeof uid === 'number') return uid
  throw uid
}

interface Home {
  readonly name: string
  readonly stats: Stats
}

class Users {
  /** Those that have homes, and their functions: part of `given.holders`. */
  private readonly byUid = new Map<number, string>()
  private readonly homes: string
  readonly given: GivenUsers
  private highest: number

  /** Throws the system's error. Blocks. */
  constructor(
    folder: string,
    private readonly uids: UidRange,
  ) {
    this.homes = join(folder, HOMES_DIR)
    this.given = new GivenUsers(folder)
    this.highest = uids.first - 1
    for (const uid of this.given.holders.keys()) if (this.isInRange(uid)) this.highest = Math.max(this.highest, uid)
    const found = readdirSync(this.homes).map((name) => ({ name, stats: lstatSync(join(this.homes, name)) }))
    // A copy has no right to the user of what it was copied from. It is younger, unless both were copied since.
    const isOthers = ({ name, stats }: Home) => Number((this.given.holders.get(stats.uid) ?? name) !== name)
    found.sort((a, b) => isOthers(a) - isOthers(b) || a.stats.birthtimeMs - b.stats.birthtimeMs)
    const owners = new Set([process.geteuid?.()])
    for (const { name, stats } of found) {
      if (!stats.isDirectory() || owners.has(stats.uid)) continue
      owners.add(stats.uid)
      // Releases up to 0.1.0 remembered it by the home alone.
      if (this.given.of(name) !== stats.uid) this.given.add(name, stats.uid)
      if (this.isInRange(stats.uid)) this.note(name, stats.uid)
    }
  }

  /** The function's user, to be given to it once that survives a power cut. */
  choose(name: string): number {
    const home = join(this.homes, name)
    const found = lstatSync(home, { throwIfNoEntry: false })
    if (found?.isDirectory() === false) {
      throw new ArchiveRefused(`function ${name} gets no user of its own: ${home}: not a directory`)
    }
    const uid = (found && this.ownerOf(name, home, found)) ?? this.earlier(name) ?? this.unused()
    if (!found) mkdirSync(home, HOME_MODE)
    if (found?.uid !== uid || this.given.of(name) !== uid) this.given.add(name, uid)
    // Before a step that may fail: no other function is to choose it.
    this.note(name, uid)
    return uid
  }

  /** Makes the user the owner of the function's home. */
  give(name: string, uid: number): number {
    withFolder(join(this.homes, name), (fd) => {
      const before = fstatSync(fd)
      if (before.uid !== uid || before.gid !== uid) fchownSync(fd, uid, uid)
      if ((before.mode & 0o7777) !== HOME_MODE) fchmodSync(fd, HOME_MODE)
    })
    return uid
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

  /** That of a function whose home is gone, or is still the agent's. */
  private earlier(name: string): number | undefined {
    const uid = this.given.of(name)
    return uid !== undefined && this.isInRange(uid) ? uid : undefined
  }

  private unused(): number {
    const { first, last } = this.uids
    if (this.highest < last) return this.highest + 1
    const { holders } = this.given
    for (let uid = first; uid <= last; uid++) if (!holders.has(uid)) return uid
    for (const uid of holders.keys()) if (this.isInRange(uid) && !this.byUid.has(uid)) return uid
    throw new ArchiveRefused(
      `functions.uids ${first}-${last} has no user left for one more function: give a wider range, or remove homes that ` +
        `no function needs from ${this.homes} and start the agent again`,
    )
  }

  private note(name: string, uid: number): void {
    this.byUid.set(uid, name)
    this.highest = Math.max(this.highest, uid)
  }

  private isInRange(uid: number): boolean {
    return uid >= this.uids.first && uid <= this.uids.last
  }
}
