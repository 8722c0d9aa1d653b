import { ArchiveRefused, quote } from './refused.js'

const SIGNATURES: readonly (readonly [string, string])[] = [
  ['\x1f\x8b', 'gzip, as of a .tar.gz or of a body that was sent compressed'],
  ['7z\xbc\xaf\x27\x1c', 'a 7z archive'],
  ['Rar!\x1a\x07', 'a RAR archive'],
  ['\xfd7zXZ\0', 'xz, as of a .tar.xz'],
  ['BZh', 'bzip2, as of a .tar.bz2'],
  ['\x28\xb5\x2f\xfd', 'Zstandard, as of a .tar.zst'],
  ['\x04\x22\x4d\x18', 'LZ4'],
  ['LZIP', 'lzip, as of a .tar.lz'],
  ['\x5d\0\0', 'LZMA, as of a .tar.lzma'],
  ['\x1f\x9d', 'compressed by compress, as of a .tar.Z'],
  ...['\x78\x01', '\x78\x9c', '\x78\xda'].map(
    (signature) => [signature, 'zlib, as of a body that was sent compressed (deflate)'] as const,
  ),
  ['MSCF', 'a cabinet of Windows'],
  ['xar!', 'a xar archive, as a .pkg of macOS'],
  ['hsqs', 'a SquashFS image'],
  ['PK\x07\x08', 'one part of a split zip archive: join them first'],
  ['\x7fELF', 'a bare program (ELF), which has to be packed'],
  ['MZ', 'a bare Windows program'],
  ['\xcf\xfa\xed\xfe', 'a bare macOS program'],
  ['\xca\xfe\xba\xbe', 'a bare macOS program or a Java class'],
  ['\0asm', 'WebAssembly'],
  ['!<arch>\n', 'an ar archive, as a .deb'],
  ['\xed\xab\xee\xdb', 'an RPM package'],
  ['%PDF', 'a PDF'],
  ['UEsDB', 'base64 text of a zip archive: send the bytes themselves'],
]
const TAR_SIGNATURE_AT = 257
const TAR_BYTES = 512
const TAR_SUM_AT = 148
const SHOWN = 60
/** Size of an end record without its comment. */
export const END_BYTES = 22

/** Names what the bytes are, where no end record is near their end. `end`: the position of one further ahead, or -1. */
export function refuseForm(bytes: Buffer, end: number): ArchiveRefused {
  const message = (problem: string) => new ArchiveRefused(`not a ${problem}`)
  if (bytes.length === 0) return message('zip archive: it is empty (0 bytes)')
  if (end !== -1) {
    const behind = bytes.length - end - END_BYTES
    if (behind < 0)
      return message(`whole zip archive: it was cut off in its end record (${bytes.length} bytes arrived)`)
    const place = `its last end record stands at byte ${end} and ${behind} bytes follow, more than any reader allows`
    return message(`whole zip archive: ${place}; perhaps it was cut off before its own`)
  }
  if (bytes.toString('latin1', 0, 4) === 'PK\x03\x04') {
    const problem = 'it has no end record, or was cut off before it'
    return message(`whole zip archive: ${problem} (${bytes.length} bytes arrived)`)
  }
  return message(`zip archive: it is ${formOf(bytes)}; only a zip archive is allowed`)
}

function formOf(bytes: Buffer): string {
  const start = bytes.toString('latin1', 0, TAR_SIGNATURE_AT + 5)
  if (start.startsWith('ustar', TAR_SIGNATURE_AT) || isOldTar(bytes)) return 'a tar archive'
  const known = SIGNATURES.find(([signature]) => start.startsWith(signature))
  if (known) return known[1]
  const text = textOf(bytes)
  if (text === undefined) return `of no kind known here (it begins with the bytes ${bytes.toString('hex', 0, 8)})`
  if (text.startsWith('#!'))
    return `a bare script, which has to be packed (its first line is ${quote(text.split(/\r?\n/, 1)[0] ?? '')})`
  const begins = `it begins with ${quote(text.trim().slice(0, SHOWN))}`
  if (/^\s*<(!doctype|html|\?xml)/i.test(text)) return `HTML or XML, perhaps the page of an error (${begins})`
  if (/^\s*[[{]/.test(text)) return `JSON or the like (${begins})`
  return `text (${begins})`
}

/** A tar without a signature is known by its header's checksum, which counts its own field as spaces. */
function isOldTar(bytes: Buffer): boolean {
  if (bytes.length < TAR_BYTES) return false
  const declared = /^ *([0-7]{1,7})[ \0]/.exec(bytes.toString('latin1', TAR_SUM_AT, TAR_SUM_AT + 8))?.[1]
  if (declared === undefined) return false
  const header = Buffer.from(bytes.subarray(0, TAR_BYTES)).fill(' ', TAR_SUM_AT, TAR_SUM_AT + 8)
  return header.reduce((sum, byte) => sum + byte, 0) === Number.parseInt(declared, 8)
}

/** The first characters, or undefined where it is no text. */
function textOf(bytes: Buffer): string | undefined {
  // Streaming, since the last character may be cut.
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    const text = decoder.decode(bytes.subarray(0, 1024), { stream: true })
    return /[^\P{Cc}\t\n\r\f]/u.test(text) ? undefined : text
  } catch {
    return undefined
  }
}
