import { isUtf8 } from 'node:buffer'
import { constants, type Stats } from 'node:fs'
import { lstat, open, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, normalize, relative } from 'node:path'
import { encodingHint } from '../../archive/encodings.js'
import { describedBy, isOfMacOS } from '../../archive/macos.js'
import { isStateFolder } from '../../host/state-format.js'
import { CommandFailure } from '../failure.js'
import { changed, special, unreadable } from './code-problem.js'

/** Which files of a folder are sent. */
export interface Selection {
  /** Files and folders to leave out, relative to the folder. */
  readonly exclude: readonly string[]
  /** Whether to send the targets of links that leave the folder, rather than refuse them. */
  readonly dereference: boolean
}

interface Found {
  /** Path relative to the folder, with `/`. */
  readonly path: string
  readonly source: string
  readonly mode: number
  readonly modified: Date
}

export type FoundFile = Found & { readonly kind: 'file'; readonly size: number }
export type FoundEntry =
  | FoundFile
  | (Found & { readonly kind: 'folder' })
  | (Found & { readonly kind: 'link'; readonly target: string })

export interface FoundFolder {
  /** Files, links and empty folders, without macOS' metadata, in an order that is the same on every file system. */
  readonly entries: readonly FoundEntry[]
  /** Agents' state folders, which are no code. */
  readonly leftOut: readonly string[]
  /** Exclusions that matched nothing. */
  readonly unmatched: readonly string[]
}

/** The state folder of the development defaults; early versions left no mark in it. */
const DEVELOPMENT_STATE = '.flux-agent'

const CHUNK = 64 * 1024

/** Lists a function's code. Throws CommandFailure for the first file that cannot be sent, with a way out. */
export async function listFolder(folder: string, selection: Selection): Promise<FoundFolder> {
  const root = await realpath(folder)
  if (isState(root)) throw new CommandFailure(`${folder} is where an agent keeps its state, and no code`)
  const listing = new Listing(root, selection)
  await listing.add(folder, '', [root])
  if (listing.entries.length === 0) throw new CommandFailure(`${folder} is empty: it has no file that could be run`)
  return listing
}

/** Reads a listed file. Throws CommandFailure where it has changed or cannot be read. */
export async function* readFound(entry: FoundFile): AsyncGenerator<Buffer> {
  let size = 0
  try {
    // Without waiting, should it have become a FIFO.
    const file = await open(entry.source, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
    try {
      for (;;) {
        const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, null)
        size += bytesRead
        if (size > entry.size) throw changed(entry)
        if (bytesRead === 0) break
        yield buffer.subarray(0, bytesRead)
      }
      if (size !== entry.size || (await file.stat()).mtime.getTime() !== entry.modified.getTime()) throw changed(entry)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw unreadable(entry, error)
  }
}

interface Place {
  readonly source: string
  readonly path: string
}

class Listing implements FoundFolder {
  readonly entries: FoundEntry[] = []
  readonly leftOut: string[] = []
  readonly #root: string
  /** From the normalized path to the one given. */
  readonly #exclude: ReadonlyMap<string, string>
  readonly #excluded = new Set<string>()
  readonly #dereference: boolean

  constructor(root: string, { exclude, dereference }: Selection) {
    this.#root = root
    this.#exclude = new Map(exclude.map((path) => [normalize(path).replace(/\/$/, ''), path]))
    this.#dereference = dereference
  }

  get unmatched(): string[] {
    return [...this.#exclude].flatMap(([path, given]) => (this.#excluded.has(path) ? [] : [given]))
  }

  /** `around`: the real paths of the folder and of those that links led through. */
  async add(folder: string, prefix: string, around: readonly string[]): Promise<void> {
    const names = new Set(await namesIn({ source: folder, path: prefix.slice(0, -1) }))
    for (const name of names) {
      if (isOfMacOS(name) || names.has(describedBy(name) ?? '')) continue
      const place = { source: join(folder, name), path: prefix + name }
      if (this.#exclude.has(place.path)) {
        this.#excluded.add(place.path)
        continue
      }
      refuseName(place)
      const found = await orUnreadable(place, lstat(place.source))
      if (found.isSymbolicLink()) await this.#addLink(place, found, around)
      else await this.#addFound(place, found, around)
    }
  }

  async #addFound(place: Place, found: Stats, around: readonly string[]): Promise<void> {
    const entry = { ...place, mode: found.mode, modified: found.mtime }
    if (found.isFile()) this.entries.push({ ...entry, kind: 'file', size: found.size })
    else if (!found.isDirectory()) throw special(place, found)
    else if (isState(place.source)) this.leftOut.push(place.path)
    else {
      const before = this.entries.length
      await this.add(place.source, `${place.path}/`, around)
      if (this.entries.length === before) this.entries.push({ ...entry, kind: 'folder' })
    }
  }

  async #addLink(place: Place, { mode, mtime }: Stats, around: readonly string[]): Promise<void> {
    const target = await orUnreadable(place, readlink(place.source))
    const inside = !isAbsolute(target) && !normalize(join(dirname(place.path), target)).startsWith('..')
    // Relative links in a folder reached by a link would lead elsewhere.
    if (inside && around.length === 1) {
      this.entries.push({ ...place, kind: 'link', target, mode, modified: mtime })
      return
    }
    if (!this.#dereference) {
      throw new CommandFailure(
        `${place.source} is a symbolic link to ${target}, which leads out of the folder: ` +
          `--dereference sends what such links lead to, --exclude ${place.path} leaves it out`,
      )
    }
    const reached = await orUnreadable(place, stat(place.source))
    if (!reached.isDirectory()) return this.#addFound(place, reached, around)
    const real = await realpath(place.source)
    if (around.includes(real) || isWithin(real, this.#root)) {
      throw new CommandFailure(`${place.source} leads to a folder around it: leave it out by --exclude ${place.path}`)
    }
    return this.#addFound(place, reached, [...around, real])
  }
}

async function namesIn(folder: Place): Promise<string[]> {
  const names = await orUnreadable(folder, readdir(folder.source, { encoding: 'buffer' }))
  const strange = names.find((name) => !isUtf8(name))
  if (strange === undefined) return names.map((name) => name.toString()).sort()
  const shown = strange.toString('latin1').replace(/[^\x20-\x7e]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16)}`)
  throw new CommandFailure(`${join(folder.source, shown)}: its name is not UTF-8${encodingHint(strange)}; rename it`)
}

/** yazl rejects or changes such names. */
function refuseName({ source, path }: Place): void {
  if (process.platform === 'win32' || !(path.includes('\\') || /^[a-z]:/i.test(path))) return
  const problem = path.includes('\\') ? 'has a backslash in its name' : 'begins like a drive of Windows'
  throw new CommandFailure(
    `${source} ${problem}, which this command cannot send: rename it, leave it out by --exclude, or deploy a zip made by zip(1)`,
  )
}

async function orUnreadable<T>(place: Place, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw unreadable(place, error)
  }
}

function isState(folder: string): boolean {
  return basename(folder) === DEVELOPMENT_STATE || isStateFolder(folder)
}

function isWithin(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '' || (!way.startsWith('..') && !isAbsolute(way))
}
