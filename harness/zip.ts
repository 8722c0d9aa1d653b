import { crc32, deflateRawSync } from 'node:zlib'

/** One entry, valid by default; any field of either header can be falsified. */
export interface ZipEntry {
  readonly name: string | Buffer
  readonly contents?: string | Buffer
  /** Unix mode with type bits; default: a file with 0644. */
  readonly mode?: number
  /** The system in the high byte of "version made by": 3 Unix, 0 Windows. */
  readonly system?: number
  readonly stored?: boolean
  /** Bytes in the archive, instead of the deflated contents. */
  readonly packed?: Buffer
  readonly local?: HeaderFields
  readonly central?: HeaderFields & {
    readonly offset?: number
    /** All 32 bits, instead of the mode. */
    readonly attributes?: number
  }
  /** Only in the directory: `central.offset` refers to another entry's bytes. */
  readonly omitLocal?: boolean
}

export interface HeaderFields {
  readonly name?: string | Buffer
  readonly flags?: number
  readonly method?: number
  readonly dosTime?: number
  readonly dosDate?: number
  readonly crc32?: number
  readonly packedSize?: number
  readonly size?: number
  readonly extra?: Buffer
}

export interface ZipEnd {
  readonly comment?: Buffer
  readonly count?: number
  readonly directorySize?: number
  readonly directoryStart?: number
  /** Adds zip64 records, with these false values. */
  readonly zip64?: {
    readonly count?: number
    readonly directorySize?: number
    readonly directoryStart?: number
    readonly at?: number
  }
}

export const FILE = 0o100644
export const PROGRAM = 0o100755
export const FOLDER = 0o040755
export const LINK = 0o120777

const UTF8 = 0x800

/** Builds an archive byte by byte. */
export function buildZip(entries: readonly ZipEntry[], end: ZipEnd = {}): Buffer {
  const body: Buffer[] = []
  const directory: Buffer[] = []
  let length = 0
  for (const entry of entries) {
    const sound = soundHeader(entry)
    directory.push(centralHeader(entry, { ...sound, ...entry.central }, entry.central?.offset ?? length))
    if (entry.omitLocal) continue
    const local = localHeader({ ...sound, ...entry.local })
    body.push(local, sound.packed)
    length += local.length + sound.packed.length
  }
  const central = Buffer.concat(directory)
  return Buffer.concat([...body, central, endRecords(entries.length, length, central.length, end)])
}

/** A symbolic link. */
export function link(name: string, target: string): ZipEntry {
  return { name, contents: target, mode: LINK, stored: true }
}

/** An extra field. */
export function extraField(id: number, data: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id, 0)
  head.writeUInt16LE(data.length, 2)
  return Buffer.concat([head, data])
}

/** The same value in both headers. */
export function both(fields: HeaderFields): { readonly local: HeaderFields; readonly central: HeaderFields } {
  return { local: fields, central: fields }
}

/** The zip64 extra field with these 64-bit numbers. */
export function zip64Extra(...values: bigint[]): Buffer {
  const field = Buffer.alloc(8 * values.length)
  values.forEach((value, index) => {
    field.writeBigUInt64LE(value, 8 * index)
  })
  return extraField(1, field)
}

interface SoundHeader extends Required<HeaderFields> {
  readonly packed: Buffer
}

function soundHeader(entry: ZipEntry): SoundHeader {
  const contents = Buffer.from(entry.contents ?? '')
  const stored = entry.stored ?? contents.length === 0
  const packed = entry.packed ?? (stored ? contents : deflateRawSync(contents))
  return {
    name: entry.name,
    flags: UTF8,
    method: stored ? 0 : 8,
    dosTime: 0,
    dosDate: 0,
    crc32: crc32(contents),
    packedSize: packed.length,
    size: contents.length,
    extra: Buffer.alloc(0),
    packed,
  }
}

/** The fields common to both headers, from the flags to the lengths. */
function commonFields(fields: Required<HeaderFields>): Buffer {
  const common = Buffer.alloc(24)
  common.writeUInt16LE(fields.flags, 0)
  common.writeUInt16LE(fields.method, 2)
  common.writeUInt16LE(fields.dosTime, 4)
  common.writeUInt16LE(fields.dosDate, 6)
  common.writeUInt32LE(fields.crc32, 8)
  common.writeUInt32LE(fields.packedSize, 12)
  common.writeUInt32LE(fields.size, 16)
  common.writeUInt16LE(Buffer.from(fields.name).length, 20)
  common.writeUInt16LE(fields.extra.length, 22)
  return common
}

function localHeader(fields: Required<HeaderFields>): Buffer {
  return Buffer.concat([
    Buffer.from('PK\x03\x04\x14\x00'),
    commonFields(fields),
    Buffer.from(fields.name),
    fields.extra,
  ])
}

function centralHeader(entry: ZipEntry, fields: Required<HeaderFields>, offset: number): Buffer {
  const madeBy = Buffer.from([0x1e, entry.system ?? 3, 0x14, 0])
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE(entry.central?.attributes ?? ((entry.mode ?? FILE) << 16) >>> 0, 6)
  rest.writeUInt32LE(offset, 10)
  return Buffer.concat([
    Buffer.from('PK\x01\x02'),
    madeBy,
    commonFields(fields),
    rest,
    Buffer.from(fields.name),
    fields.extra,
  ])
}

function endRecords(count: number, start: number, size: number, end: ZipEnd): Buffer {
  const comment = end.comment ?? Buffer.alloc(0)
  const record = Buffer.alloc(22)
  record.write('PK\x05\x06', 'latin1')
  record.writeUInt16LE(end.count ?? count, 8)
  record.writeUInt16LE(end.count ?? count, 10)
  record.writeUInt32LE(end.directorySize ?? size, 12)
  record.writeUInt32LE(end.directoryStart ?? start, 16)
  record.writeUInt16LE(comment.length, 20)
  if (end.zip64 === undefined) return Buffer.concat([record, comment])

  const zip64 = Buffer.alloc(56 + 20)
  zip64.write('PK\x06\x06', 'latin1')
  zip64.writeBigUInt64LE(44n, 4)
  zip64.writeBigUInt64LE(BigInt(end.zip64.count ?? count), 24)
  zip64.writeBigUInt64LE(BigInt(end.zip64.count ?? count), 32)
  zip64.writeBigUInt64LE(BigInt(end.zip64.directorySize ?? size), 40)
  zip64.writeBigUInt64LE(BigInt(end.zip64.directoryStart ?? start), 48)
  zip64.write('PK\x06\x07', 56, 'latin1')
  zip64.writeBigUInt64LE(BigInt(end.zip64.at ?? start + size), 56 + 8)
  zip64.writeUInt32LE(1, 56 + 16)
  return Buffer.concat([zip64, record, comment])
}
