/** 64-bit numbers of the launcher's protocol. */

const LOW = 2 ** 32

/** Writes a whole number up to 2^53, enough for ids and sizes, without BigInt; answers the position after it. */
export function putUint64(buffer: Buffer, value: number, at: number): number {
  buffer.writeUInt32LE(value % LOW, at)
  return buffer.writeUInt32LE(Math.floor(value / LOW), at + 4)
}

export function getUint64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * LOW
}
