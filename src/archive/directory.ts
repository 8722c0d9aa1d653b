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
/** A comment's length has 16 bits; no reader looks for an end record further back. */
const MAX_BEHIND = 0xffff

/** Where the central directory is, in bytes from the start of what was given. */
export interface Directory {
  readonly start: number
  /** The first byte after it. */
  readonly end: number
  readonly entryCount: number
  /** Added to every offset in the archive: above 0 where other bytes were put before it. */
  readonly base: number
}

interface Declared {
  readonly entryCount: number
  readonly size: number
  readonly start: number
}

/**
 * Finds the central directory, and refuses an archive in which another reader could find a different one: such an
 * archive shows a reviewer harmless files and unpacks others. Bytes before the archive (a self-extractor, a `#!` line)
 * and after its end record are accepted where they are unambiguous, as by Go's archive/zip; `refuseOtherArchive` checks
 * those before it. Throws ArchiveRefused.
 */
export function findDirectory(archive: Buffer): Directory {
  try {
    return readEnd(archive)
  } catch (error) {
    const damage = error instanceof ArchiveRefused ? damageOnItsWay(archive) : undefined
    if (damage === undefined) throw error
    throw new ArchiveRefused(`not a whole zip archive: ${damage}`)
  }
}

function readEnd(archive: Buffer): Directory {
  const end = findEnd(archive)
  if ([archive.readUInt16LE(end + 4), archive.readUInt16LE(end + 6)].some((disk) => disk !== 0 && disk !== 0xffff)) {
    throw new ArchiveRefused('not a whole zip archive: it is one part of several; join them first')
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
 * Throws ArchiveRefused where the `first` bytes before the archive hold another archive or the start of one. Readers
 * that go from front to back would take that one. So would the maker of an archive that was cut off inside a zip it
 * contains.
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

/**
 * The last end record, as every reader that accepts appended bytes takes it. Refuses where a strict reader, which wants
 * the comment to reach the end, would take another.
 */
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
  // With bytes before the archive the record is further back than declared. Practically no record has more than its
  // fixed fields.
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
  return new ArchiveRefused(`the zip archive contradicts itself: ${problem}`)
}
