import type { FileNode, FolderNode } from './tree.js'

/** Python's directory for the bytecode of a folder's modules (PEP 3147). */
const CACHE = '__pycache__'
const SUFFIX = '.pyc'
const HEADER_BYTES = 16
/** Zones differ by multiples of it, and by less than a day, seconds. */
const ZONE_STEP = 15 * 60
const DAY = 24 * 60 * 60

/** A source file, and when it had been modified by the clock that its bytecode was compiled by, seconds since 1970. */
export interface Source {
  readonly file: FileNode
  readonly seconds: number
}

/** The source of a file that is bytecode and begins with these bytes, where the archive's own time for it is vague. */
export function sourceOf(file: FileNode, start: Buffer): Source | undefined {
  const { folder, name } = bytecodeName(file) ?? {}
  if (folder === undefined || name === undefined) return undefined
  const source = folder.parent?.children.get(name)
  if (source?.kind !== 'file' || source.modified.exact || start.length < HEADER_BYTES) return undefined
  // A magic number, flags (0: by time, PEP 552), the source's time and size, both modulo 2^32.
  if (start.readUInt16LE(2) !== 0x0a0d || start.readUInt32LE(4) !== 0) return undefined
  const seconds = start.readUInt32LE(8)
  if (start.readUInt32LE(12) !== source.packed.size || !isSameTime(seconds, source.modified.seconds)) return undefined
  return { file: source, seconds }
}

/**
 * Python takes bytecode for stale, and compiles at every start, where the source's time is not to the second the one
 * compiled in. Of a time that many tools store (in some zone's hours, without the odd second) that second is lost.
 */
function isSameTime(compiled: number, stored: number): boolean {
  const difference = compiled - stored
  return Math.abs(difference) <= DAY && ((difference % ZONE_STEP) + ZONE_STEP) % ZONE_STEP <= 1
}

/** `name` is the source's: of `__pycache__/module.cpython-312.pyc` it is `module.py`. */
function bytecodeName(file: FileNode): { folder: FolderNode; name: string } | undefined {
  if (!file.path.endsWith(SUFFIX)) return undefined
  const [name = '', folder] = file.path.split('/').reverse()
  return folder === CACHE ? { folder: file.parent, name: `${name.split('.', 1)[0]}.py` } : undefined
}
