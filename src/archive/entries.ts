import { constants } from 'node:fs'
import type { Packed } from './contents.js'
import { type Directory, findDirectory, refuseOtherArchive } from './directory.js'
import { type CentralHeader, disagreement, readCentralHeaders, readLocalHeader } from './headers.js'
import type { ArchiveLimits } from './limits.js'
import { describedBy, isOfMacOS } from './macos.js'
import { type EntryName, nameOf, refuseOtherName } from './name-decoding.js'
import { ABSOLUTE, pathProblem } from './path-rules.js'
import { ArchiveRefused, refuseEntry } from './refused.js'
import { type Modified, modifiedAt } from './times.js'

/** A checked entry. `path` has `/` between its components and none at its end. */
export type ArchiveEntry =
  /** An empty path is the function's own folder. */
  | { readonly kind: 'folder'; readonly path: string; readonly name: string; readonly modified: Modified }
  | {
      readonly kind: 'file'
      readonly path: string
      readonly packed: Packed
      readonly executable: boolean
      readonly modified: Modified
    }
  /** The packed bytes are the target. */
  | { readonly kind: 'link'; readonly path: string; readonly packed: Packed }

export interface Entries {
  readonly entries: readonly ArchiveEntry[]
  /** Sentences about names whose encoding had to be guessed. */
  readonly warnings: string[]
}

const STORED = 0
const DEFLATED = 8
const MAX_TARGET = 4095

const KINDS: ReadonlyMap<number, ArchiveEntry['kind']> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'folder'],
  [constants.S_IFLNK, 'link'],
])

/** The ratio counts only above this size: a page of zeros is no bomb. */
const RATIO_EXEMPT_BYTES = 1024 * 1024

/**
 * Reads and checks the central directory and every entry's own header. Throws ArchiveRefused for everything that shows
 * without unpacking. Unpacked sizes are as declared; unpacking enforces them.
 */
export function readEntries(archive: Buffer, limits: ArchiveLimits, platform: NodeJS.Platform): Entries {
  const directory = findDirectory(archive)
  if (directory.entryCount > limits.maxEntries) {
    throw tooMany(`${directory.entryCount} entries`, limits)
  }
  const { headers, end } = readCentralHeaders(archive, directory.start, directory.end, directory.entryCount)
  if (end !== directory.end) {
    throw new ArchiveRefused('the zip archive contradicts itself: its directory holds other entries than declared')
  }
  const first = headers.reduce((least, { offset }) => Math.min(least, offset + directory.base), directory.start)
  if (first > 0) refuseOtherArchive(archive, first)
  const entries: ArchiveEntry[] = []
  const ranges: Range[] = []
  const warnings: string[] = []
  let size = 0
  for (const header of headers) {
    const name = nameOf(archive, header)
    if (isOfMacOS(name.path)) {
      ranges.push(readRange(archive, directory, header, name, namedKind(name)).range)
      continue
    }
    if (name.warning !== undefined) warnings.push(name.warning)
    const path = plainPath(name, header.madeOnUnix, platform)
    const kind = kindOf(header.mode, name)
    refuseUnreadable(header, name.written)
    if (kind !== 'folder') size += header.size
    if (size > limits.maxBytes) {
      throw new ArchiveRefused(`the archive unpacks to more than the ${limits.maxBytes} bytes allowed`)
    }
    const { range, modified } = readRange(archive, directory, header, name, kind)
    ranges.push(range)
    const packed = readPacked(header, name.written, archive.subarray(range.dataStart, range.end), kind)
    entries.push(makeEntry(kind, path, packed, header, modified, platform))
  }
  refuseOverlaps(ranges)
  refuseBomb(size, archive.length, limits)
  return { entries: withoutDescriptions(entries), warnings: summary(warnings) }
}

function withoutDescriptions(entries: readonly ArchiveEntry[]): readonly ArchiveEntry[] {
  if (!entries.some(({ path }) => describedBy(path) !== undefined)) return entries
  const paths = new Set(entries.map(({ path }) => path))
  return entries.filter(({ path }) => !paths.has(describedBy(path) ?? ''))
}

export function tooMany(found: string, limits: ArchiveLimits): ArchiveRefused {
  const message = `the archive has ${found}; at most ${limits.maxEntries} files and folders are allowed`
  return new ArchiveRefused(message)
}

/** One warning stands for all: they are alike. */
function summary(warnings: readonly string[]): string[] {
  const [first] = warnings
  if (first === undefined) return []
  return [warnings.length === 1 ? first : `${first}; so were ${warnings.length - 1} more`]
}

/**
 * Normalizes spellings that many tools write and every reader accepts: `./a`, `a//b`, `a/./b`, a slash after a folder.
 */
function plainPath({ path: name, written }: EntryName, madeOnUnix: boolean, platform: NodeJS.Platform): string {
  const path = name
    .split('/')
    .filter((component) => component !== '' && component !== '.')
    .join('/')
  if (path === '' && /^(\.\/+)+$/.test(name)) return ''
  const absolute = name.startsWith('/') || (!madeOnUnix && /^[a-z]:\//i.test(name))
  const problem = absolute ? ABSOLUTE : pathProblem(path, platform)
  if (problem !== undefined) throw refuseEntry(written, problem)
  return path
}

interface Range {
  readonly name: string
  readonly start: number
  readonly dataStart: number
  readonly end: number
}

function readRange(
  archive: Buffer,
  directory: Directory,
  entry: CentralHeader,
  name: EntryName,
  kind: ArchiveEntry['kind'],
) {
  const damaged = (problem: string) => refuseEntry(name.written, `is damaged: ${problem}`)
  const start = directory.base + entry.offset
  const local = readLocalHeader(archive, start, directory.start)
  if (local === undefined) throw damaged('its header is not where the directory says')
  const problem = disagreement(archive, entry, local, kind === 'folder')
  if (problem !== undefined) throw damaged(`its header and the directory ${problem}`)
  refuseOtherName(archive, local, entry, name)
  const end = local.extraEnd + entry.packedSize
  if (end > directory.start) throw damaged('its data runs past its end')
  const range: Range = { name: name.written, start, dataStart: local.extraEnd, end }
  return { range, modified: modifiedAt(archive, entry, local) }
}

function refuseUnreadable({ encrypted, method }: CentralHeader, name: string): void {
  if (encrypted) {
    throw refuseEntry(name, 'is encrypted; only unencrypted entries are allowed')
  }
  if (method !== STORED && method !== DEFLATED) {
    throw refuseEntry(name, `is compressed by method ${method}; only stored and deflated entries are allowed`)
  }
}

function readPacked(entry: CentralHeader, name: string, bytes: Buffer, kind: ArchiveEntry['kind']): Packed {
  const { method, size } = entry
  // Some tools give a folder its size on their disk, without any bytes.
  if (kind === 'folder' && (method === STORED ? bytes.length : size) > 0) {
    const text = `is a folder by its name and has contents (${size} bytes); the name of a file does not end in "/"`
    throw refuseEntry(name, text)
  }
  if (method === STORED && kind !== 'folder' && size !== bytes.length) {
    throw refuseEntry(name, `is damaged: it holds ${bytes.length} bytes and declares ${size}`)
  }
  // Some writers store an empty file as "deflated" with no bytes at all, which is no deflate stream.
  return { name, deflated: method === DEFLATED && bytes.length > 0, bytes, size, crc32: entry.crc32 }
}

function makeEntry(
  kind: ArchiveEntry['kind'],
  path: string,
  packed: Packed,
  { mode }: CentralHeader,
  modified: Modified,
  platform: NodeJS.Platform,
): ArchiveEntry {
  if (kind === 'folder') return { kind, path, name: packed.name, modified }
  if (kind === 'file') return { kind, path, packed, executable: (mode & 0o111) !== 0, modified }
  if (platform === 'win32') {
    const text = 'is a symbolic link, which Windows lets administrators make; only files and folders are allowed there'
    throw refuseEntry(packed.name, text)
  }
  if (packed.size > MAX_TARGET) {
    const text = `is a symbolic link whose target is longer than ${MAX_TARGET} bytes`
    throw refuseEntry(packed.name, text)
  }
  return { kind, path, packed }
}

function namedKind({ path }: EntryName): 'folder' | 'file' {
  return path.endsWith('/') ? 'folder' : 'file'
}

function kindOf(mode: number, name: EntryName): ArchiveEntry['kind'] {
  const named = namedKind(name)
  const type = mode & constants.S_IFMT
  const kind = type === 0 ? named : KINDS.get(type)
  if (kind === undefined) {
    throw refuseEntry(name.written, 'is a device, FIFO or socket; only files, folders and symbolic links are allowed')
  }
  if ((kind === 'folder') !== (named === 'folder')) {
    throw refuseEntry(name.written, `is a ${kind} by its mode and a ${named} by its name`)
  }
  return kind
}

/** Overlapping entries let a few kilobytes unpack to terabytes although each entry's own ratio looks fine. */
function refuseOverlaps(ranges: Range[]): void {
  ranges.sort((a, b) => a.start - b.start)
  let previous: Range | undefined
  for (const range of ranges) {
    if (previous !== undefined && range.start < previous.end) {
      throw refuseEntry(
        range.name,
        `shares bytes of the archive with ${JSON.stringify(previous.name)}; each entry must have its own`,
      )
    }
    previous = range
  }
}

function refuseBomb(size: number, packedSize: number, limits: ArchiveLimits): void {
  if (size < RATIO_EXEMPT_BYTES || size <= packedSize * limits.maxRatio) return
  const message = `the archive unpacks to ${size} bytes, more than ${limits.maxRatio} times its own ${packedSize}, which is the most allowed`
  throw new ArchiveRefused(message)
}
