/** The parts of an ELF file's start that are read (elf(5)). */
const MAGIC = Buffer.from([0x7f, 0x45, 0x4c, 0x46])
const CLASS_AT = 4
const DATA_AT = 5
const TYPE_AT = 16
const MACHINE_AT = 18
const ENTRY_AT = 24
const HEADER_BYTES = { 1: 52, 2: 64 } as const
const TYPES: Readonly<Record<number, string>> = { 1: 'is an object file that is not linked', 4: 'is a core dump' }
const SHARED = 3
const LIBRARY = /\.so(\.\d+)*$/
/** Libraries that are programs as well. */
const LOADER = /^(ld\b|libc\.)/
const PT_LOAD = 1
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

/** The loader of a program: the kernel starts it to link a dynamic program. */
export type Loader =
  | { readonly kind: 'loader'; readonly path: string }
  /** A static program needs none. */
  | { readonly kind: 'none' }
  /** The headers are beyond what was read, or invalid. */
  | { readonly kind: 'unknown' }
  /** `says`: continues a sentence after the file's name. */
  | { readonly kind: 'not a program'; readonly says: string }

export const isElf = (head: Buffer) => head.subarray(0, 4).equals(MAGIC)

/** The ELF number of the file's machine; undefined where it is no ELF file, or too short. */
export function machineOf(head: Buffer): number | undefined {
  if (!isElf(head) || head.length < MACHINE_AT + 2) return undefined
  return isLittle(head) ? head.readUInt16LE(MACHINE_AT) : head.readUInt16BE(MACHINE_AT)
}

export const machineName = (machine: number) => MACHINES[machine] ?? `number ${machine}`

/**
 * The loader of a file for this machine, which is little-endian wherever Node runs. `size`: of the whole file, bytes.
 */
export function loaderOf(head: Buffer, size: number): Loader {
  const needed = headerBytes(head)
  if (needed !== undefined && size < needed) return { kind: 'not a program', says: cutOff(needed, size) }
  if (needed === undefined || head.length < needed) return { kind: 'unknown' }
  const says = TYPES[head.readUInt16LE(TYPE_AT)]
  if (says) return { kind: 'not a program', says }
  const interpreter = segmentsOf(head).find(({ type }) => type === PT_INTERP)
  if (interpreter === undefined) return { kind: 'none' }
  const { from, bytes } = interpreter
  if (bytes < 2 || from + bytes > head.length) return { kind: 'unknown' }
  return { kind: 'loader', path: head.toString('utf8', from, from + bytes - 1) }
}

/** Why an ELF file surely crashes although the kernel starts it, to follow its name; undefined where nothing shows. */
export function crashReason(name: string, head: Buffer, size: number): string | undefined {
  if (head.length < (headerBytes(head) ?? Infinity)) return undefined
  const segments = segmentsOf(head)
  const needed = Math.max(0, ...segments.filter(({ type }) => type === PT_LOAD).map(({ from, bytes }) => from + bytes))
  if (size < needed) return cutOff(needed, size)
  const isShared = head.readUInt16LE(TYPE_AT) === SHARED
  const entry = isWide(head) ? Number(head.readBigUInt64LE(ENTRY_AT)) : head.readUInt32LE(ENTRY_AT)
  // Older linkers set a library's entry to its first function.
  const isProgram = entry > 0 && (!LIBRARY.test(name) || LOADER.test(name))
  if (!isShared || isProgram || segments.some(({ type }) => type === PT_INTERP)) return undefined
  return 'is a shared library, which does not run by itself: build a program (without -shared), or load it from one'
}

interface Segment {
  readonly type: number
  /** Position in the file, bytes. */
  readonly from: number
  readonly bytes: number
}

function segmentsOf(head: Buffer): Segment[] {
  const wide = isWide(head)
  const { at, size, count } = segmentTable(head)
  if (size < (wide ? 56 : 32)) return []
  return Array.from({ length: count }, (_, index) => {
    const header = head.subarray(at + index * size)
    const [from, bytes] = wide
      ? [Number(header.readBigUInt64LE(8)), Number(header.readBigUInt64LE(32))]
      : [header.readUInt32LE(4), header.readUInt32LE(16)]
    return { type: header.readUInt32LE(0), from, bytes }
  })
}

function segmentTable(head: Buffer) {
  return isWide(head)
    ? { at: Number(head.readBigUInt64LE(32)), size: head.readUInt16LE(54), count: head.readUInt16LE(56) }
    : { at: head.readUInt32LE(28), size: head.readUInt16LE(42), count: head.readUInt16LE(44) }
}

/** Bytes up to the end of the segment headers; undefined for big-endian files. */
function headerBytes(head: Buffer): number | undefined {
  const own = HEADER_BYTES[isWide(head) ? 2 : 1]
  if (head.length < own) return own
  if (!isLittle(head)) return undefined
  const { at, size, count } = segmentTable(head)
  return Math.max(own, at + size * count)
}

function cutOff(needed: number, size: number): string {
  return `is a native program that was cut off: it has ${size} of at least ${needed} bytes; copy it whole and deploy it again`
}

const isLittle = (head: Buffer) => head[DATA_AT] === 1
const isWide = (head: Buffer) => head[CLASS_AT] === 2
