import { constants } from 'node:fs'
import { fromBufferPromise, getFileNameLowLevel, type Entry as ZipEntry } from 'yauzl'
import type { ArchiveLimits } from '../messages.js'
import type { Packed } from './contents.js'
import { type Directory, findDirectory } from './directory.js'
import { pathProblem } from './names.js'
import { ArchiveRefused, refuseEntry } from './refused.js'

/** One entry whose name, kind and place are sound; `path` has `/` between its components and none at its end. */
export type Entry =
  | { readonly kind: 'folder'; readonly path: string; readonly name: string }
  | { readonly kind: 'file'; readonly path: string; readonly packed: Packed; readonly executable: boolean }
  /** The packed bytes are the target. */
  | { readonly kind: 'link'; readonly path: string; readonly packed: Packed }

const LOCAL_HEADER = 0x04034b50
const LOCAL_HEADER_BYTES = 30
const DIRECTORY_HEADER_BYTES = 46
const UTF8_NAME = 0x800
const ENCRYPTED = 0x1 | 0x2000
const STORED = 0
const DEFLATED = 8
const UNIX = 3
const MACOS = 19
const MAX_TARGET = 4095

const KINDS: ReadonlyMap<number, Entry['kind']> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'folder'],
  [constants.S_IFLNK, 'link'],
])

/** Archives that unpack to less may be as compressible as they like: a page of zeros is no bomb. */
const RATIO_EXEMPT_BYTES = 1024 * 1024

/**
 * Reads the central directory and refuses, by ArchiveRefused, whatever can be told without unpacking.
 * The unpacked sizes are still the archive's word; unpacking holds it to them.
 */
export async function readEntries(archive: Buffer, limits: ArchiveLimits, platform: NodeJS.Platform): Promise<Entry[]> {
  const directory = findDirectory(archive)
  if (directory.entryCount > limits.maxEntries) {
    throw tooMany(`${directory.entryCount} entries`, limits)
  }
  const entries: Entry[] = []
  const ranges: Range[] = []
  let directoryEnd = directory.start
  let size = 0
  for await (const zipEntry of readDirectory(archive)) {
    directoryEnd +=
      DIRECTORY_HEADER_BYTES + zipEntry.fileNameLength + zipEntry.extraFieldLength + zipEntry.fileCommentLength
    const name = nameOf(zipEntry)
    const range = findRange(archive, directory, zipEntry, name)
    ranges.push(range)
    entries.push(check(zipEntry, name, archive.subarray(range.dataStart, range.end), platform))
    size += zipEntry.uncompressedSize
    if (size > limits.maxBytes) {
      throw new ArchiveRefused(
        'ARCHIVE_TOO_LARGE',
        `the archive unpacks to more than the ${limits.maxBytes} bytes allowed`,
      )
    }
  }
  if (directoryEnd !== directory.end) {
    throw new ArchiveRefused(
      'ARCHIVE_AMBIGUOUS',
      'the zip archive contradicts itself: its directory holds other entries than declared',
    )
  }
  refuseOverlaps(ranges)
  refuseBomb(size, archive.length, limits)
  return entries
}

export function tooMany(found: string, limits: ArchiveLimits): ArchiveRefused {
  const message = `the archive has ${found}; at most ${limits.maxEntries} files and folders are allowed`
  return new ArchiveRefused('ARCHIVE_TOO_MANY_ENTRIES', message)
}

async function* readDirectory(archive: Buffer): AsyncGenerator<ZipEntry> {
  let count = 0
  try {
    // The names are decoded and the sizes compared here, where a refusal can name the entry.
    const zip = await fromBufferPromise(archive, { decodeStrings: false, validateEntrySizes: false })
    for await (const entry of zip.eachEntry()) {
      count++
      yield entry
    }
  } catch (error) {
    if (error instanceof ArchiveRefused || !(error instanceof Error)) throw error
    const message = `the zip archive cannot be read behind its entry number ${count}: ${error.message}`
    throw new ArchiveRefused('ARCHIVE_NOT_ZIP', message, undefined, { cause: error })
  }
}

/** With `/` for `\`: archives made on Windows may have either. */
function nameOf(entry: ZipEntry): string {
  // Info-ZIP and the macOS Finder write UTF-8 names and do not flag them; without the flag they would be code page 437.
  const flags = madeOnUnix(entry) ? entry.generalPurposeBitFlag | UTF8_NAME : entry.generalPurposeBitFlag
  const name = getFileNameLowLevel(flags, entry.fileNameRaw, entry.extraFields, false)
  // Code page 437 has pictures for the control characters, so that these no longer show once decoded.
  if (entry.fileNameRaw.some((byte) => byte < 0x20 || byte === 0x7f)) {
    throw refuseEntry(
      'ARCHIVE_ENTRY_NAME',
      entry.fileNameRaw.toString('latin1'),
      'contains control characters; only printable names are allowed',
    )
  }
  return name
}

interface Range {
  readonly name: string
  readonly start: number
  readonly dataStart: number
  readonly end: number
}

function findRange(archive: Buffer, directory: Directory, entry: ZipEntry, name: string): Range {
  const start = entry.relativeOffsetOfLocalHeader
  if (start + LOCAL_HEADER_BYTES > directory.start || archive.readUInt32LE(start) !== LOCAL_HEADER) {
    throw refuseEntry('ARCHIVE_ENTRY_DAMAGED', name, 'is damaged: its header is not where the directory says')
  }
  const nameStart = start + LOCAL_HEADER_BYTES
  const nameEnd = nameStart + archive.readUInt16LE(start + 26)
  if (!archive.subarray(nameStart, nameEnd).equals(entry.fileNameRaw)) {
    throw refuseEntry('ARCHIVE_ENTRY_DAMAGED', name, 'is damaged: its header and the directory name it differently')
  }
  const dataStart = nameEnd + archive.readUInt16LE(start + 28)
  const end = dataStart + entry.compressedSize
  if (end > directory.start) throw refuseEntry('ARCHIVE_ENTRY_DAMAGED', name, 'is damaged: its data runs past its end')
  return { name, start, dataStart, end }
}

function check(entry: ZipEntry, name: string, bytes: Buffer, platform: NodeJS.Platform): Entry {
  const path = name.endsWith('/') ? name.slice(0, -1) : name
  const problem = pathProblem(path, platform)
  if (problem !== undefined) throw refuseEntry(problem.code, name, problem.text)
  if ((entry.generalPurposeBitFlag & ENCRYPTED) !== 0) {
    throw refuseEntry('ARCHIVE_ENTRY_ENCRYPTED', name, 'is encrypted; only unencrypted entries are allowed')
  }
  const { compressionMethod: method, uncompressedSize: size } = entry
  if (method !== STORED && method !== DEFLATED) {
    throw refuseEntry(
      'ARCHIVE_ENTRY_METHOD',
      name,
      `is compressed by method ${method}; only stored and deflated entries are allowed`,
    )
  }
  if (method === STORED && size !== bytes.length) {
    throw refuseEntry('ARCHIVE_ENTRY_DAMAGED', name, `is damaged: it holds ${bytes.length} bytes and declares ${size}`)
  }
  const packed: Packed = { name, deflated: method === DEFLATED, bytes, size, crc32: entry.crc32 }
  const mode = madeOnUnix(entry) ? entry.externalFileAttributes >>> 16 : 0
  const kind = kindOf(mode, name)
  if (kind === 'folder') {
    if (size > 0) throw refuseEntry('ARCHIVE_ENTRY_TYPE', name, 'is a folder and has contents')
    return { kind, path, name }
  }
  if (kind === 'file') return { kind, path, packed, executable: (mode & 0o111) !== 0 }
  if (platform === 'win32') {
    const text = 'is a symbolic link, which Windows lets administrators make; only files and folders are allowed there'
    throw refuseEntry('ARCHIVE_ENTRY_LINK', name, text)
  }
  if (size > MAX_TARGET)
    throw refuseEntry('ARCHIVE_ENTRY_LINK', name, `is a symbolic link whose target is longer than ${MAX_TARGET} bytes`)
  return { kind, path, packed }
}

/** Whether the entry carries Unix modes; those in an entry from elsewhere mean nothing. */
function madeOnUnix(entry: ZipEntry): boolean {
  const system = entry.versionMadeBy >> 8
  return system === UNIX || system === MACOS
}

function kindOf(mode: number, name: string): Entry['kind'] {
  const named = name.endsWith('/') ? 'folder' : 'file'
  const type = mode & constants.S_IFMT
  const kind = type === 0 ? named : KINDS.get(type)
  if (kind === undefined) {
    throw refuseEntry(
      'ARCHIVE_ENTRY_TYPE',
      name,
      'is a device, FIFO or socket; only files, folders and symbolic links are allowed',
    )
  }
  if ((kind === 'folder') !== (named === 'folder')) {
    throw refuseEntry('ARCHIVE_ENTRY_TYPE', name, `is a ${kind} by its mode and a ${named} by its name`)
  }
  return kind
}

/** Entries that share bytes are how a few kilobytes unpack to terabytes while each entry's own ratio looks sound. */
function refuseOverlaps(ranges: Range[]): void {
  ranges.sort((a, b) => a.start - b.start)
  let previous: Range | undefined
  for (const range of ranges) {
    if (previous !== undefined && range.start < previous.end) {
      throw refuseEntry(
        'ARCHIVE_ENTRY_OVERLAPS',
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
  throw new ArchiveRefused('ARCHIVE_RATIO_TOO_HIGH', message)
}
