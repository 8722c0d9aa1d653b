/** elf(5): what is read of an ELF file's beginning. */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
const CLASS_AT = 4
const DATA_AT = 5
const TYPE_AT = 16
const MACHINE_AT = 18
const HEADER_BYTES = { 1: 52, 2: 64 } as const
const TYPES: Readonly<Record<number, string>> = { 1: 'is an object file that is not linked', 4: 'is a core dump' }
const PT_INTERP = 3

const MACHINES: Readonly<Record<number, string>> = {
  3: 'i386',
  8: 'MIPS',
  20: 'PowerPC',
  21: 'PowerPC 64',
  22: 'S/390',
  40: '32-bit ARM',
  62: 'x86-64',
  183: 'AArch64',
  243: 'RISC-V',
  258: 'LoongArch',
}

/** The program that the kernel loads to link a dynamic one. */
export type Loader =
  | { readonly kind: 'loader'; readonly path: string }
  /** A static program. */
  | { readonly kind: 'none' }
  /** Its headers lie beyond what was read, or make no sense. */
  | { readonly kind: 'unknown' }
  /** `says` follows the file's name. */
  | { readonly kind: 'not a program'; readonly says: string }

/** The number of the machine it is for; undefined where it is no ELF file. */
export function machineOf(head: Buffer): number | undefined {
  if (!head.subarray(0, 4).equals(MAGIC) || head.length < MACHINE_AT + 2) return undefined
  return isLittle(head) ? head.readUInt16LE(MACHINE_AT) : head.readUInt16BE(MACHINE_AT)
}

export const machineName = (machine: number) => MACHINES[machine] ?? `number ${machine}`

/** For a program of this machine, which is little-endian wherever Node runs. */
export function loaderOf(head: Buffer): Loader {
  const bits = head[CLASS_AT]
  if (!isLittle(head) || (bits !== 1 && bits !== 2) || head.length < HEADER_BYTES[bits]) return { kind: 'unknown' }
  const says = TYPES[head.readUInt16LE(TYPE_AT)]
  if (says) return { kind: 'not a program', says }
  const wide = bits === 2
  const [at, size, count] = wide
    ? [Number(head.readBigUInt64LE(32)), head.readUInt16LE(54), head.readUInt16LE(56)]
    : [head.readUInt32LE(28), head.readUInt16LE(42), head.readUInt16LE(44)]
  if (at + size * count > head.length) return { kind: 'unknown' }
  for (let index = 0; index < count; index++) {
    const segment = head.subarray(at + index * size, at + (index + 1) * size)
    if (segment.length < (wide ? 56 : 32) || segment.readUInt32LE(0) !== PT_INTERP) continue
    const [from, bytes] = wide
      ? [Number(segment.readBigUInt64LE(8)), Number(segment.readBigUInt64LE(32))]
      : [segment.readUInt32LE(4), segment.readUInt32LE(16)]
    if (bytes < 2 || from + bytes > head.length) return { kind: 'unknown' }
    return { kind: 'loader', path: head.toString('utf8', from, from + bytes - 1) }
  }
  return { kind: 'none' }
}

const isLittle = (head: Buffer) => head[DATA_AT] === 1
