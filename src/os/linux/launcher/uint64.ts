/** The 64-bit numbers of the launcher's protocol. */

const LOW = 2 ** 32

/** Whole numbers up to 2^53, which is enough for ids and bytes and saves the BigInts; answers where it ends. */
export function putUint64(buffer: Buffer, value: number, at: number): number {
  buffer.writeUInt32LE(value % LOW, at)
  return buffer.writeUInt32LE(Math.floor(value / LOW), at + 4)
}

export function getUint64(buffer: Buffer, at: number): number {
  return buffer.readUInt32LE(at) + buffer.readUInt32LE(at + 4) * LOW
}
