import type { FileNode, FolderNode } from './tree.js'

/** Python's directory for the bytecode of a folder's modules (PEP 3147). */
const CACHE = '__pycache__'
const SUFFIX = '.pyc'
const HEADER_BYTES = 16
/** Time zones differ from each other by multiples of ZONE_STEP and by less than a DAY, in seconds. */
const ZONE_STEP = 15 * 60
const DAY = 24 * 60 * 60

/** A Python source file and the modification time that its bytecode was compiled for, in seconds since 1970. */
export interface Source {
  readonly file: FileNode
  readonly seconds: number
}

/**
 * The source of a bytecode file that begins with `start`. Undefined where the archive has an exact time for the source,
 * which then stays.
 */
export function sourceOf(file: FileNode, start: Buffer): Source | undefined {
  const { folder, name } = bytecodeName(file) ?? {}
  if (folder === undefined || name === undefined) return undefined
  const source = folder.parent?.children.get(name)
  if (source?.kind !== 'file' || source.modified.exact || start.length < HEADER_BYTES) return undefined
  // PEP 552: a magic number, flags (0: validated by time), then time and size of the source, both modulo 2^32.
  if (start.readUInt16LE(2) !== 0x0a0d || start.readUInt32LE(4) !== 0) return undefined
  const seconds = start.readUInt32LE(8)
  if (start.readUInt32LE(12) !== source.packed.size || !isSameTime(seconds, source.modified.seconds)) return undefined
  return { file: source, seconds }
}

/**
 * Python recompiles at every start unless the source's time equals the compiled-in one to the second. Zip's DOS time
 * lacks the zone and every odd second, so the two may differ by a zone and a second.
 */
function isSameTime(compiled: number, stored: number): boolean {
  const difference = compiled - stored
  return Math.abs(difference) <= DAY && ((difference % ZONE_STEP) + ZONE_STEP) % ZONE_STEP <= 1
}

/** The source's folder and name: `__pycache__/module.cpython-312.pyc` is compiled from `module.py`. */
function bytecodeName(file: FileNode): { folder: FolderNode; name: string } | undefined {
  if (!file.path.endsWith(SUFFIX)) return undefined
  const [name = '', folder] = file.path.split('/').reverse()
  return folder === CACHE ? { folder: file.parent, name: `${name.split('.', 1)[0]}.py` } : undefined
}
