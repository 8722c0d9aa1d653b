import { Readable } from 'node:stream'
import { crc32, createInflateRaw, inflateRawSync } from 'node:zlib'
import { refuseEntry } from './refused.js'

/** An entry's packed bytes, and what the archive declares about them. */
export interface Packed {
  /** The entry's name, for messages. */
  readonly name: string
  readonly deflated: boolean
  /** A view of the archive, not a copy. */
  readonly bytes: Buffer
  /** Unpacked size, bytes. */
  readonly size: number
  readonly crc32: number
}

const SLICE = 64 * 1024
const INFLATED_CHUNK = 256 * 1024

/**
 * Unpacks into one buffer and verifies size and CRC-32. Blocks: for small entries only, where a stream costs more than
 * the work. Throws ArchiveRefused.
 */
export function unpackWhole(packed: Packed): Buffer {
  const contents = packed.deflated ? inflateWhole(packed) : packed.bytes
  verify(packed, contents.length, crc32(contents))
  return contents
}

/**
 * Unpacks in pieces, with bounded memory. Verifies size and CRC-32 at the end: after the last piece it may still throw
 * ArchiveRefused.
 */
export async function* unpackPieces(packed: Packed): AsyncGenerator<Buffer> {
  let size = 0
  let sum = 0
  const inflate = packed.deflated ? createInflateRaw({ chunkSize: INFLATED_CHUNK }) : undefined
  try {
    for await (const piece of inflate ? Readable.from(slices(packed.bytes)).pipe(inflate) : slices(packed.bytes)) {
      size += piece.length
      if (size > packed.size) throw tooLong(packed)
      sum = crc32(piece, sum)
      yield piece
    }
  } catch (error) {
    throw asDamage(packed, error)
  }
  if (inflate && inflate.bytesWritten !== packed.bytes.length) throw trailing(packed)
  verify(packed, size, sum)
}

function inflateWhole(packed: Packed): Buffer {
  // One byte over the declared size, to detect a longer entry; a chunk of that size, so that zlib has nothing to join.
  const limit = packed.size + 1
  try {
    const { buffer, engine } = inflateRawSync(packed.bytes, {
      chunkSize: Math.max(limit, 64),
      maxOutputLength: limit,
      info: true,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
    if (engine.bytesWritten !== packed.bytes.length) throw trailing(packed)
    return buffer
  } catch (error) {
    throw asDamage(packed, error)
  }
}

function* slices(bytes: Buffer): Generator<Buffer> {
  for (let start = 0; start < bytes.length; start += SLICE) yield bytes.subarray(start, start + SLICE)
}

function verify(packed: Packed, size: number, sum: number): void {
  if (size > packed.size) throw tooLong(packed)
  if (size < packed.size) throw damaged(packed, `unpacks to ${size} bytes and declares ${packed.size}`)
  if (sum !== packed.crc32) throw damaged(packed, 'does not match its CRC-32')
}

function tooLong(packed: Packed) {
  return damaged(packed, `unpacks to more than the ${packed.size} bytes it declares`)
}

function trailing(packed: Packed) {
  return damaged(packed, 'has bytes behind the end of its compressed data')
}

function damaged(packed: Packed, problem: string, options?: ErrorOptions) {
  return refuseEntry(packed.name, `is damaged: it ${problem}`, options)
}

function asDamage(packed: Packed, error: unknown): unknown {
  if (!(error instanceof Error && 'code' in error)) return error
  if (error.code === 'ERR_BUFFER_TOO_LARGE') return tooLong(packed)
  if (!String(error.code).startsWith('Z_')) return error
  return damaged(packed, `cannot be decompressed (${error.message})`, { cause: error })
}
