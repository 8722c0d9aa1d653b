import { damageOnItsWay } from './damaged-on-its-way.js'
import { END_BYTES, refuseForm } from './formats.js'
import { CENTRAL_SIGNATURE, isLocalHeader } from './headers.js'
import { ArchiveRefused } from './refused.js'

const END = Buffer.from('PK\x05\x06', 'latin1')
const LOCAL = Buffer.from('PK\x03\x04', 'latin1')
const ZIP64_LOCATOR = 0x07064b50
const ZIP64_LOCATOR_BYTES = 20
const ZIP64_END = 0x06064b50
const ZIP64_END_BYTES = 56
/** What may stand behind an end record: a comment's length has 16 bits, and no reader looks further back. */
const MAX_BEHIND = 0xffff

/** Where the central directory lies, in bytes from the first one that was given. */
export interface Directory {
  readonly start: number
  /** Of the first byte behind it. */
  readonly end: number
  readonly entryCount: number
  /** Where the archive's own offsets count from: above 0 where it was put behind other bytes as it was. */
  readonly base: number
}

interface Declared {
  readonly entryCount: number
  readonly size: number
  readonly start: number
}

/**
 * Finds the central directory as any reader would, and insists that no reader could find another one: a reader's
 * choice between two directories is how one archive shows a reviewer harmless files and unpacks others. Bytes before
 * the archive (a program that unpacks it, a first line with `#!`) and behind its end record are allowed, as by Go's
 * archive/zip, where they leave no choice; `refuseOtherArchive` looks into those before it.
 */
export function findDirectory(archive: Buffer): Directory {
  try {
    return readEnd(archive)
  } catch (error) {
    const damage = error instanceof ArchiveRefused ? damageOnItsWay(archive) : undefined
    if (damage === undefined) throw error
    throw new ArchiveRefused('ARCHIVE_NOT_ZIP', `not a whole zip archive: ${damage}`)
  }
}

function readEnd(archive: Buffer): Directory {
  const end = findEnd(archive)
  if ([archive.readUInt16LE(end + 4), archive.readUInt16LE(end + 6)].some((disk) => disk !== 0 && disk !== 0xffff)) {
    throw new ArchiveRefused('ARCHIVE_NOT_ZIP', 'not a whole zip archive: it is one part of several; join them first')
  }
  const declared: Declared = {
    entryCount: archive.readUInt16LE(end + 10),
    size: archive.readUInt32LE(end + 12),
    start: archive.readUInt32LE(end + 16),
  }
  const locator = end - ZIP64_LOCATOR_BYTES
  if (locator < 0 || archive.readUInt32LE(locator) !== ZIP64_LOCATOR) return place(archive, declared, end)

  const { recordStart, declaredAt, ...zip64 } = readZip64End(archive, locator)
  const agrees =
    (declared.entryCount === 0xffff || declared.entryCount === zip64.entryCount) &&
    (declared.size === 0xffffffff || declared.size === zip64.size) &&
    (declared.start === 0xffffffff || declared.start === zip64.start)
  if (!agrees) throw ambiguous('its zip64 record and its end record disagree')
  const directory = place(archive, zip64, recordStart)
  if (declaredAt + directory.base !== recordStart) throw ambiguous('its zip64 record is not where its locator says')
  return directory
}

/**
 * Refuses, by ArchiveRefused, an archive whose first entry begins at `first` and that stands behind another one, or
 * behind the beginning of one: readers that go from front to back see that one, and so does its maker, where the
 * archive was cut off and what ends it is another one that it holds.
 */
export function refuseOtherArchive(archive: Buffer, first: number): void {
  const before = archive.subarray(0, first)
  for (let at = before.indexOf(LOCAL); at !== -1; at = before.indexOf(LOCAL, at + 1)) {
    if (!isLocalHeader(before, at)) continue
    throw ambiguous(
      `${MISPLACED}: the ${first} bytes before its first entry hold an entry of another one, at byte ${at}`,
    )
  }
  for (let at = before.indexOf(END); at !== -1; at = before.indexOf(END, at + 1)) {
    if (at + END_BYTES > first || !standsBehindDirectory(before, at)) continue
    throw ambiguous(`${MISPLACED}: the ${first} bytes before its first entry hold another end record, at byte ${at}`)
  }
}

const MISPLACED = 'its directory is not where its end record says'

/** The last one, as for all readers that take what was appended; but not where a reader of exact ones takes another. */
function findEnd(archive: Buffer): number {
  let last: number | undefined
  const exact: number[] = []
  const from = Math.max(0, archive.length - END_BYTES - MAX_BEHIND)
  for (let at = archive.indexOf(END, from); at !== -1; at = archive.indexOf(END, at + 1)) {
    if (at + END_BYTES > archive.length) break
    last = at
    if (at + END_BYTES + archive.readUInt16LE(at + 20) === archive.length) exact.push(at)
  }
  if (last === undefined) throw refuseForm(archive, archive.lastIndexOf(END))
  if (exact.some((at) => at !== last)) throw ambiguous('its comment holds another end record')
  return last
}

function readZip64End(archive: Buffer, locator: number) {
  const declaredAt = Number(archive.readBigUInt64LE(locator + 8))
  // Behind other bytes it lies further back than declared, and has, as nearly always, nothing but its fixed fields.
  const recordStart = isZip64End(archive, declaredAt, locator) ? declaredAt : locator - ZIP64_END_BYTES
  if (!isZip64End(archive, recordStart, locator)) throw ambiguous('its zip64 record is not where its locator says')
  return {
    recordStart,
    declaredAt,
    entryCount: Number(archive.readBigUInt64LE(recordStart + 32)),
    size: Number(archive.readBigUInt64LE(recordStart + 40)),
    start: Number(archive.readBigUInt64LE(recordStart + 48)),
  }
}

function isZip64End(archive: Buffer, at: number, locator: number): boolean {
  return (
    at >= 0 &&
    at + ZIP64_END_BYTES <= locator &&
    archive.readUInt32LE(at) === ZIP64_END &&
    at + 12 + Number(archive.readBigUInt64LE(at + 4)) === locator
  )
}

function place(archive: Buffer, declared: Declared, end: number): Directory {
  const start = end - declared.size
  const base = start - declared.start
  if (base < 0) throw ambiguous(`${MISPLACED}: ${-base} bytes are missing before it`)
  if (declared.entryCount > 0 && !isDirectory(archive, start)) {
    throw ambiguous(`${MISPLACED}: bytes ${start} to ${end} are none`)
  }
  if (base > 0 && isDirectory(archive, declared.start)) {
    throw ambiguous(`${MISPLACED}: there is one at byte ${declared.start} and one at byte ${start}`)
  }
  return { start, end, entryCount: declared.entryCount, base }
}

function standsBehindDirectory(archive: Buffer, end: number): boolean {
  const size = archive.readUInt32LE(end + 12)
  return size === 0 || (size <= end && isDirectory(archive, end - size))
}

function isDirectory(archive: Buffer, at: number): boolean {
  return at + 4 <= archive.length && archive.readUInt32LE(at) === CENTRAL_SIGNATURE
}

function ambiguous(problem: string): ArchiveRefused {
  return new ArchiveRefused('ARCHIVE_AMBIGUOUS', `the zip archive contradicts itself: ${problem}`)
}
