import { ArchiveRefused } from './refused.js'

const END = Buffer.from('PK\x05\x06', 'latin1')
const END_BYTES = 22
const ZIP64_LOCATOR = 0x07064b50
const ZIP64_LOCATOR_BYTES = 20
const ZIP64_END = 0x06064b50
const ZIP64_END_BYTES = 56
const MAX_COMMENT = 0xffff

/** Where the central directory lies, offsets in bytes from the archive's start. */
export interface Directory {
  readonly start: number
  /** Of the first byte behind it. */
  readonly end: number
  readonly entryCount: number
}

/**
 * Finds the central directory as any reader would, and insists that no reader could find another one: a reader's
 * choice between two directories is how one archive shows a reviewer harmless files and unpacks others.
 */
export function findDirectory(archive: Buffer): Directory {
  const end = findEnd(archive)
  const declared = {
    entryCount: archive.readUInt16LE(end + 10),
    size: archive.readUInt32LE(end + 12),
    start: archive.readUInt32LE(end + 16),
  }
  const locator = end - ZIP64_LOCATOR_BYTES
  if (locator < 0 || archive.readUInt32LE(locator) !== ZIP64_LOCATOR) return bounded(declared, end)

  const zip64 = readZip64End(archive, locator)
  const agrees =
    (declared.entryCount === 0xffff || declared.entryCount === zip64.entryCount) &&
    (declared.size === 0xffffffff || declared.size === zip64.size) &&
    (declared.start === 0xffffffff || declared.start === zip64.start)
  if (!agrees) throw ambiguous('its zip64 record and its end record disagree')
  return bounded(zip64, zip64.recordStart)
}

function findEnd(archive: Buffer): number {
  const ends: number[] = []
  let at = archive.indexOf(END, Math.max(0, archive.length - END_BYTES - MAX_COMMENT))
  let found = false
  while (at !== -1) {
    found = true
    if (at + END_BYTES <= archive.length && at + END_BYTES + archive.readUInt16LE(at + 20) === archive.length)
      ends.push(at)
    at = archive.indexOf(END, at + 1)
  }
  const [end] = ends
  if (end === undefined) {
    const problem = found
      ? 'bytes were added or lost behind its end record'
      : 'it has no end record, or was cut off before it'
    throw new ArchiveRefused('ARCHIVE_NOT_ZIP', `not a whole zip archive: ${problem}`)
  }
  if (ends.length > 1) throw ambiguous('its comment holds another end record')
  return end
}

function readZip64End(archive: Buffer, locator: number) {
  const recordStart = Number(archive.readBigUInt64LE(locator + 8))
  const fits = recordStart + ZIP64_END_BYTES <= locator && archive.readUInt32LE(recordStart) === ZIP64_END
  if (!fits || recordStart + 12 + Number(archive.readBigUInt64LE(recordStart + 4)) !== locator) {
    throw ambiguous('its zip64 record is not where its locator says')
  }
  return {
    recordStart,
    entryCount: Number(archive.readBigUInt64LE(recordStart + 32)),
    size: Number(archive.readBigUInt64LE(recordStart + 40)),
    start: Number(archive.readBigUInt64LE(recordStart + 48)),
  }
}

function bounded(declared: { entryCount: number; size: number; start: number }, end: number): Directory {
  if (declared.start + declared.size !== end) throw ambiguous('its directory is not where its end record says')
  return { start: declared.start, end, entryCount: declared.entryCount }
}

function ambiguous(problem: string): ArchiveRefused {
  return new ArchiveRefused('ARCHIVE_AMBIGUOUS', `the zip archive contradicts itself: ${problem}`)
}
