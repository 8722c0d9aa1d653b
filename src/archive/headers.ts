import { ArchiveRefused } from './refused.js'

export const LOCAL_SIGNATURE = 0x04034b50
export const CENTRAL_SIGNATURE = 0x02014b50

const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46

const ZIP64 = 0x0001
const IN_ZIP64 = 0xffffffff

const UTF8_NAME = 0x800
const DESCRIPTOR = 0x8
/** Flags: encrypted, strongly encrypted, masked headers. */
const ENCRYPTED = 0x1 | 0x40 | 0x2000

const UNIX = 3
const MACOS = 19

/**
 * A header of an entry: the directory's, or the local one before its data (APPNOTE.TXT 6.3.10, sections 4.3.12 and
 * 4.3.7).
 */
export interface Header {
  readonly nameIsUtf8: boolean
  readonly encrypted: boolean
  /** Whether sizes and CRC-32 are in a descriptor after the data. */
  readonly describedLater: boolean
  readonly method: number
  /** MS-DOS time and date, 16 bits each: local time without a zone, in steps of two seconds. */
  readonly dosTime: number
  readonly dosDate: number
  readonly crc32: number
  /** Packed size, bytes. */
  readonly packedSize: number
  /** Unpacked size, bytes. */
  readonly size: number
  /** Positions in the archive. Views of it would cost more than all other work for 100,000 entries. */
  readonly nameStart: number
  readonly nameEnd: number
  /** In a local header, where the data begins. */
  readonly extraEnd: number
}

/** An entry's header in the directory. */
export interface CentralHeader extends Header {
  /** Whether `mode` counts; entries made elsewhere carry no Unix mode. */
  readonly madeOnUnix: boolean
  /** With the type bits; 0 unless made on Unix. */
  readonly mode: number
  /** Position of the local header, before `Directory.base` is added. */
  readonly offset: number
}

/** The directory's headers, from `start` to at most `end`. Throws ArchiveRefused where there are fewer than `count`. */
export function readCentralHeaders(archive: Buffer, start: number, end: number, count: number) {
  const headers: CentralHeader[] = []
  let at = start
  while (headers.length < count) {
    const nameStart = at + CENTRAL_BYTES
    if (nameStart > end || archive.readUInt32LE(at) !== CENTRAL_SIGNATURE) {
      throw unreadable(headers.length, `there is no header at byte ${at}, and ${count} entries are declared`)
    }
    const nameEnd = nameStart + archive.readUInt16LE(at + 28)
    const extraEnd = nameEnd + archive.readUInt16LE(at + 30)
    const next = extraEnd + archive.readUInt16LE(at + 32)
    if (next > end) throw unreadable(headers.length, 'the next one runs past the end of the directory')
    const header = readHeader(archive, at + 8, nameStart, nameEnd, extraEnd)
    const system = archive.readUInt8(at + 5)
    header.madeOnUnix = system === UNIX || system === MACOS
    header.mode = header.madeOnUnix ? archive.readUInt16LE(at + 40) : 0
    header.offset = archive.readUInt32LE(at + 42)
    if (!resolveZip64(archive, header)) throw unreadable(headers.length, 'the zip64 field of the next one is too short')
    headers.push(header)
    at = next
  }
  return { headers, end: at }
}

/** The local header at a position; undefined where none there ends before `limit`. */
export function readLocalHeader(archive: Buffer, at: number, limit: number): Header | undefined {
  const nameStart = at + LOCAL_BYTES
  if (nameStart > limit || archive.readUInt32LE(at) !== LOCAL_SIGNATURE) return undefined
  const nameEnd = nameStart + archive.readUInt16LE(at + 26)
  const extraEnd = nameEnd + archive.readUInt16LE(at + 28)
  if (extraEnd > limit) return undefined
  const header = readHeader(archive, at + 6, nameStart, nameEnd, extraEnd)
  resolveZip64(archive, header)
  return header
}

/** Whether a real local header is there, and not a program's constant for its signature. */
export function isLocalHeader(bytes: Buffer, at: number): boolean {
  const header = readLocalHeader(bytes, at, bytes.length)
  return (
    header !== undefined &&
    bytes.readUInt8(at + 4) < 64 &&
    header.method < 100 &&
    header.nameEnd > header.nameStart &&
    !rawName(bytes, header).some((byte) => byte < 0x20)
  )
}

/**
 * How a local header contradicts the directory, to follow the entry's name; undefined where it does not. Common
 * differences are accepted: zeros where the sizes follow the data, and sizes in a zip64 field or not.
 */
export function disagreement(
  archive: Buffer,
  central: CentralHeader,
  local: Header,
  folder: boolean,
): string | undefined {
  const names = [central.nameStart, central.nameEnd, local.nameStart, local.nameEnd] as const
  if (archive.compare(archive, ...names) !== 0) return 'name it differently'
  if (local.encrypted !== central.encrypted) return 'do not agree whether it is encrypted'
  if (local.method !== central.method) {
    return `do not agree how it is compressed (methods ${local.method} and ${central.method})`
  }
  const differs = (key: 'packedSize' | 'size' | 'crc32') =>
    local[key] !== central[key] && !(local.describedLater && (local[key] === 0 || local[key] === IN_ZIP64))
  if (differs('packedSize')) {
    return `do not agree how many bytes it has in the archive (${local.packedSize} and ${central.packedSize})`
  }
  if (folder) return undefined
  if (differs('size')) return `do not agree how many bytes it unpacks to (${local.size} and ${central.size})`
  if (differs('crc32')) return 'do not agree on its CRC-32'
  return undefined
}

/** An entry's name as bytes, a view of the archive. */
export function rawName(archive: Buffer, { nameStart, nameEnd }: Header): Buffer {
  return archive.subarray(nameStart, nameEnd)
}

/** The data of the first extra field with this id. Truncated fields, as padding tools write, do not count. */
export function extraField(archive: Buffer, { nameEnd, extraEnd }: Header, id: number): Buffer | undefined {
  let at = nameEnd
  while (at + 4 <= extraEnd) {
    const start = at + 4
    const end = start + archive.readUInt16LE(at + 2)
    if (end > extraEnd) return undefined
    if (archive.readUInt16LE(at) === id) return archive.subarray(start, end)
    at = end
  }
  return undefined
}

type Changing<T> = { -readonly [Key in keyof T]: T[Key] }

/** Reads from the flags on; fields that only the directory has are left to the caller. */
function readHeader(
  archive: Buffer,
  at: number,
  nameStart: number,
  nameEnd: number,
  extraEnd: number,
): Changing<CentralHeader> {
  const flags = archive.readUInt16LE(at)
  return {
    nameIsUtf8: (flags & UTF8_NAME) !== 0,
    encrypted: (flags & ENCRYPTED) !== 0,
    describedLater: (flags & DESCRIPTOR) !== 0,
    method: archive.readUInt16LE(at + 2),
    dosTime: archive.readUInt16LE(at + 4),
    dosDate: archive.readUInt16LE(at + 6),
    crc32: archive.readUInt32LE(at + 8),
    packedSize: archive.readUInt32LE(at + 12),
    size: archive.readUInt32LE(at + 16),
    nameStart,
    nameEnd,
    extraEnd,
    madeOnUnix: false,
    mode: 0,
    offset: 0,
  }
}

/** The zip64 field holds, in this order, only the numbers that did not fit. False where it is too short for them. */
function resolveZip64(archive: Buffer, header: Changing<CentralHeader>): boolean {
  if (header.size !== IN_ZIP64 && header.packedSize !== IN_ZIP64 && header.offset !== IN_ZIP64) return true
  const field = extraField(archive, header, ZIP64)
  if (field === undefined) return true
  let at = 0
  for (const key of ['size', 'packedSize', 'offset'] as const) {
    if (header[key] !== IN_ZIP64) continue
    if (at + 8 > field.length) return false
    header[key] = Number(field.readBigUInt64LE(at))
    at += 8
  }
  return true
}

function unreadable(count: number, problem: string): ArchiveRefused {
  const message = `the zip archive cannot be read behind its entry number ${count}: ${problem}`
  return new ArchiveRefused(message)
}
