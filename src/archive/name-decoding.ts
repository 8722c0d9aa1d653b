import { isUtf8 } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { getFileNameLowLevel } from 'yauzl'
import { encodingHint } from './encodings.js'
import { type CentralHeader, extraField, type Header, rawName } from './headers.js'
import { isOfMacOS } from './macos.js'
import { quote, refuseEntry } from './refused.js'

/**
 * Info-ZIP's Unicode path field (APPNOTE.TXT, 4.6.9): a version, the CRC-32 of the header's name, the name in UTF-8.
 */
const UNICODE_PATH = 0x7075
const UNICODE_PATH_AT = 5
const NON_ASCII = /[^\0-\x7f]/

export interface EntryName {
  /** As the archive spells it. */
  readonly written: string
  /** With `/` between its components. */
  readonly path: string
  /** Tells the maker how the name was read, where that was a guess. */
  readonly warning?: string
}

/**
 * An entry's name. Without the UTF-8 flag it is read as UTF-8 where it is valid, which is what tools on Linux and macOS
 * mean; otherwise as code page 437, unless the archive was made on Unix. Throws ArchiveRefused where two readers would
 * see two names, or none.
 */
export function nameOf(archive: Buffer, header: CentralHeader): EntryName {
  const raw = rawName(archive, header)
  // Code page 437 decodes control characters to pictures, so they are looked for before decoding.
  if (raw.some((byte) => byte < 0x20 || byte === 0x7f) && !isOfMacOS(raw.toString('latin1'))) {
    const text = 'contains control characters; only printable names are allowed'
    throw refuseEntry(raw.toString('latin1'), text)
  }
  const unicode = unicodePath(archive, header)
  const utf8 = isUtf8(raw) ? raw.toString('utf8') : undefined
  const written = unicode === undefined ? utf8 : agreed(header, raw, utf8, unicode)
  if (written !== undefined) return { written, path: separated(header, written) }

  const hint = encodingHint(raw)
  if (header.nameIsUtf8 || header.madeOnUnix) {
    throw refuseEntry(raw.toString('utf8'), `is not valid UTF-8${hint}; only UTF-8 is allowed`)
  }
  const text = getFileNameLowLevel(0, raw, [], true)
  // In East Asian encodings the second byte of a character may equal a backslash.
  if (raw.some((byte, index) => byte === 0x5c && (raw[index - 1] ?? 0) >= 0x80)) {
    const problem = `has a backslash behind a byte that is not ASCII, and does not say in which encoding${hint}; make the zip with names in UTF-8`
    throw refuseEntry(text, problem)
  }
  return {
    written: text,
    path: separated(header, text),
    warning: `entry ${quote(text)} does not say in which encoding its name is, and was read as code page 437${hint}`,
  }
}

/** Throws ArchiveRefused where the local header's Unicode name differs from the directory's name. */
export function refuseOtherName(archive: Buffer, local: Header, central: CentralHeader, name: EntryName): void {
  const unicode = unicodePath(archive, local)
  if (unicode === undefined || separated(central, unicode) === name.path) return
  throw otherName(name.written, unicode)
}

/** Windows separates components by `\`; elsewhere that is an ordinary character. */
function separated({ madeOnUnix }: CentralHeader, name: string): string {
  return madeOnUnix ? name : name.replaceAll('\\', '/')
}

function unicodePath(archive: Buffer, header: Header): string | undefined {
  const field = extraField(archive, header, UNICODE_PATH)
  if (field === undefined || field.length <= UNICODE_PATH_AT || field[0] !== 1) return undefined
  const raw = rawName(archive, header)
  const name = field.toString('utf8', UNICODE_PATH_AT)
  // A tool that renames without knowing this field leaves the old name in it. Readers may take either.
  if (field.readUInt32LE(1) !== crc32(raw) && name !== raw.toString('utf8')) {
    throw otherName(raw.toString('utf8'), name)
  }
  return name
}

/** The Unicode name, where the header's name is the same text in an encoding that lacks some characters. */
function agreed({ nameIsUtf8 }: CentralHeader, raw: Buffer, utf8: string | undefined, unicode: string): string {
  if (utf8 === unicode) return unicode
  if (!nameIsUtf8 && standsFor(raw.toString('latin1'), unicode)) return unicode
  throw otherName(utf8 ?? raw.toString('latin1'), unicode)
}

/**
 * Whether the names are equal except for non-ASCII characters, which may be escaped as by Info-ZIP or replaced by a
 * mark.
 */
function standsFor(name: string, unicode: string): boolean {
  return NON_ASCII.test(unicode) && withoutStrangers(name) === withoutStrangers(unicode)
}

function withoutStrangers(name: string): string {
  return name.replace(/(?:[^\0-\x7f]|[?_]|#U[0-9a-fA-F]{4}|#L[0-9a-fA-F]{6})+/g, '?')
}

function otherName(name: string, unicode: string): Error {
  const problem = `is named ${quote(unicode)} by its field for Unicode names; both must name one file`
  return refuseEntry(name, problem)
}
