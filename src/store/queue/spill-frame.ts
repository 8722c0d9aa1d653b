import { crc32 } from 'node:zlib'
import type { ExecutionRecord } from '../record.js'
import type { StoreWrite } from '../store.js'

/**
 * A write on disk, little-endian: u32 length of the body, u32 CRC-32 of the body, body. The body is a byte for the
 * kind, then the JSON of a record, or for output: u16 length of the id, the id, f64 offset, the bytes.
 */
export interface Frame {
  readonly parts: readonly Buffer[]
  readonly size: number
}

const PREFIX_BYTES = 8
const KINDS = ['begin', 'output', 'end'] as const

/** The output's bytes become a part of the frame without a copy. */
export function frameOf(write: StoreWrite): Frame {
  const kind = KINDS.indexOf(write.kind)
  if (write.kind !== 'output') {
    const json = JSON.stringify(write.record)
    const part = Buffer.allocUnsafe(PREFIX_BYTES + 1 + Buffer.byteLength(json))
    part[PREFIX_BYTES] = kind
    part.write(json, PREFIX_BYTES + 1)
    return framed([part])
  }
  const idBytes = Buffer.byteLength(write.id)
  const part = Buffer.allocUnsafe(PREFIX_BYTES + 1 + 2 + idBytes + 8)
  part[PREFIX_BYTES] = kind
  part.writeUInt16LE(idBytes, PREFIX_BYTES + 1)
  part.write(write.id, PREFIX_BYTES + 3)
  part.writeDoubleLE(write.offset, PREFIX_BYTES + 3 + idBytes)
  return framed([part, write.bytes])
}

/**
 * The write in the frame at `at`, and the position of the next frame; undefined where there is no complete, undamaged
 * one.
 */
export function writeAt(bytes: Buffer, at: number): { readonly write: StoreWrite; readonly next: number } | undefined {
  const start = at + PREFIX_BYTES
  if (start > bytes.length) return undefined
  const next = start + bytes.readUInt32LE(at)
  if (next === start || next > bytes.length) return undefined
  const body = bytes.subarray(start, next)
  return crc32(body) === bytes.readUInt32LE(at + 4) ? { write: decode(body), next } : undefined
}

function framed(parts: readonly [Buffer, ...Buffer[]]): Frame {
  const [head, ...rest] = parts
  const size = parts.reduce((sum, part) => sum + part.length, 0)
  head.writeUInt32LE(size - PREFIX_BYTES, 0)
  head.writeUInt32LE(
    rest.reduce((crc, part) => crc32(part, crc), crc32(head.subarray(PREFIX_BYTES))),
    4,
  )
  return { parts, size }
}

function decode(body: Buffer): StoreWrite {
  const kind = KINDS[body.readUInt8(0)] ?? 'output'
  if (kind !== 'output') return { kind, record: JSON.parse(body.toString('utf8', 1)) as ExecutionRecord }
  const idEnd = 3 + body.readUInt16LE(1)
  return {
    kind,
    id: body.toString('utf8', 3, idEnd),
    offset: body.readDoubleLE(idEnd),
    bytes: body.subarray(idEnd + 8),
  }
}
