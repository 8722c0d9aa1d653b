import { ArchiveRefused } from './refused.js'

export const LOCAL_SIGNATURE = 0x04034b50
export const CENTRAL_SIGNATURE = 0x02014b50

const LOCAL_BYTES = 30
const CENTRAL_BYTES = 46

const ZIP64 = 0x0001
const IN_ZIP64 = 0xffffffff

const UTF8_NAME = 0x800
const DESCRIPTOR = 0x8
/** Encrypted, strongly encrypted, with masked headers. */
const ENCRYPTED = 0x1 | 0x40 | 0x2000

const UNIX = 3
const MACOS = 19

/** What an entry's two headers have in common (APPNOTE.TXT 6.3.10, sections 4.3.7 and 4.3.12). */
export interface Header {
  readonly nameIsUtf8: boolean
  readonly encrypted: boolean
  /** Whether sizes and CRC-32 follow the data instead. */
  readonly describedLater: boolean
  readonly method: number
  /** As MS-DOS has them, 16 bits each: local time without a zone, in steps of two seconds. */
  readonly dosTime: number
  readonly dosDate: number
  readonly crc32: number
  /** Bytes in the archive. */
  readonly packedSize: number
  /** Bytes unpacked. */
  readonly size: number
  readonly name: Buffer
  readonly extra: Buffer
}

/** An entry as the directory has it. */
export interface CentralHeader extends Header {
  /** Whether it carries Unix modes; those in an entry from elsewhere mean nothing. */
  readonly madeOnUnix: boolean
  /** With the type bits; 0 where it was not made on Unix. */
  readonly mode: number
  /** Of its local header, counted as the archive counts. */
  readonly offset: number
}

/** An entry as it stands before its data. */
export interface LocalHeader extends Header {
  readonly dataStart: number
}

/** The directory's headers, from `start` to at most `end`. Throws ArchiveRefused where there are fewer. */
export function readCentralHeaders(archive: Buffer, start: number, end: number, count: number) {
  const headers: CentralHeader[] = []
  let at = start
  while (headers.length < count) {
    const nameStart = at + CENTRAL_BYTES
    if (nameStart > end || archive.readUInt32LE(at) !== CENTRAL_SIGNATURE) {
      throw unreadable(headers.length, `there is no header at byte ${at}, and ${count} entries are declared`)
    }
    const extraStart = nameStart + archive.readUInt16LE(at + 28)
    const extraEnd = extraStart + archive.readUInt16LE(at + 30)
    const next = extraEnd + archive.readUInt16LE(at + 32)
    if (next > end) throw unreadable(headers.length, 'the next one runs past the end of the directory')
    const common = readCommon(archive, at + 8, nameStart, extraStart, extraEnd)
    const system = archive.readUInt8(at + 5)
    const madeOnUnix = system === UNIX || system === MACOS
    const [size, packedSize, offset] = resolveZip64(
      common.extra,
      [common.size, common.packedSize, archive.readUInt32LE(at + 42)],
      () => unreadable(headers.length, 'the zip64 field of the next one is too short'),
    )
    const mode = madeOnUnix ? archive.readUInt16LE(at + 40) : 0
    headers.push({ ...common, size, packedSize, offset, madeOnUnix, mode })
    at = next
  }
  return { headers, end: at }
}

/** The local header at a place, or undefined where there is none that ends before `limit`. */
export function readLocalHeader(archive: Buffer, at: number, limit: number): LocalHeader | undefined {
  const nameStart = at + LOCAL_BYTES
  if (nameStart > limit || archive.readUInt32LE(at) !== LOCAL_SIGNATURE) return undefined
  const extraStart = nameStart + archive.readUInt16LE(at + 26)
  const dataStart = extraStart + archive.readUInt16LE(at + 28)
  if (dataStart > limit) return undefined
  const common = readCommon(archive, at + 6, nameStart, extraStart, dataStart)
  const [size, packedSize] = resolveZip64(common.extra, [common.size, common.packedSize], () => undefined)
  return { ...common, size, packedSize, dataStart }
}

/** Whether a local header stands there, rather than a program that knows its signature. */
export function isLocalHeader(bytes: Buffer, at: number): boolean {
  const header = readLocalHeader(bytes, at, bytes.length)
  return (
    header !== undefined &&
    bytes.readUInt8(at + 4) < 64 &&
    header.method < 100 &&
    header.name.length > 0 &&
    !header.name.some((byte) => byte < 0x20)
  )
}

/**
 * What a local header says otherwise than the directory, to follow the entry's name in a sentence. What usual tools
 * write differently is no contradiction: zeros where the sizes follow the data, and sizes in a zip64 field or not.
 */
export function disagreement(central: CentralHeader, local: LocalHeader, folder: boolean): string | undefined {
  if (!local.name.equals(central.name)) return 'name it differently'
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

/** The data of the first extra field with this id. Fields that are cut off, as by tools that pad, are no fields. */
export function extraField({ extra }: Header, id: number): Buffer | undefined {
  return findField(extra, id)
}

function findField(extra: Buffer, id: number): Buffer | undefined {
  let at = 0
  while (at + 4 <= extra.length) {
    const start = at + 4
    const end = start + extra.readUInt16LE(at + 2)
    if (end > extra.length) return undefined
    if (extra.readUInt16LE(at) === id) return extra.subarray(start, end)
    at = end
  }
  return undefined
}

/** From the flags on. */
function readCommon(archive: Buffer, at: number, nameStart: number, extraStart: number, extraEnd: number): Header {
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
    name: archive.subarray(nameStart, extraStart),
    extra: archive.subarray(extraStart, extraEnd),
  }
}

/** The zip64 field has those alone that do not fit, in their order. `tooShort` makes what is thrown, or nothing. */
function resolveZip64<T extends number[]>(extra: Buffer, values: [...T], tooShort: () => Error | undefined): [...T] {
  if (!values.includes(IN_ZIP64)) return values
  const field = findField(extra, ZIP64)
  if (field === undefined) return values
  let at = 0
  return values.map((value) => {
    if (value !== IN_ZIP64) return value
    if (at + 8 > field.length) {
      const error = tooShort()
      if (error) throw error
      return value
    }
    at += 8
    return Number(field.readBigUInt64LE(at - 8))
  }) as [...T]
}

function unreadable(count: number, problem: string): ArchiveRefused {
  const message = `the zip archive cannot be read behind its entry number ${count}: ${problem}`
  return new ArchiveRefused('ARCHIVE_NOT_ZIP', message)
}
