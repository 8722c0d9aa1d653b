import { ArchiveRefused, quote } from './refused.js'

const PK = Buffer.from('PK')
/** Bytes of text that may precede the first boundary (RFC 2046, 5.1.1: the preamble). */
const MAX_PREAMBLE = 4096
/** The headers of one part, bytes. */
const MAX_HEADERS = 16 * 1024
/** A boundary has up to 70 characters, none of them a control character (RFC 2046, 5.1.1). */
const BOUNDARY_LINE = /^--([\x20-\x7e]{0,69}[\x21-\x7e])[\t ]*(\r?\n)/
/**
 * Matches the text before the first boundary: a line of dashes followed by a part's headers, one of them about its
 * content.
 */
const PREAMBLE = /^(?:[^\0]*?\n)??(?=--[\x20-\x7e]{1,70}[\t ]*\r?\n(?:[!-9;-~]+:[^\r\n]*\r?\n)*?content-[a-z-]+:)/i

interface Part {
  /** Undefined where the headers name no file. */
  readonly filename: string | undefined
  /** Content-Transfer-Encoding. */
  readonly encoding: string | undefined
  /** Content-Encoding. */
  readonly compression: string | undefined
  readonly type: string
  readonly contents: Buffer
}

/** Where the first part begins, and what separates the parts. */
interface Form {
  readonly start: number
  readonly boundary: string
  readonly newline: string
}

/**
 * The file in a multipart/form-data body (RFC 7578), as a view of it; any other bytes unchanged. The control plane
 * forwards an HTTP body without its Content-Type, so the boundary is read from the body's first boundary line. Throws
 * ArchiveRefused where the form is cut off, or does not say which part is the archive.
 */
export function unwrapForm(body: Buffer): Buffer {
  const form = findForm(body)
  return form ? chooseFile(readParts(body, form)).contents : body
}

function findForm(body: Buffer): Form | undefined {
  if (isZip(body)) return undefined
  const head = body.toString('latin1', 0, MAX_PREAMBLE + MAX_HEADERS)
  const start = PREAMBLE.exec(head)?.[0].length
  const [line, boundary, newline] = (start !== undefined && BOUNDARY_LINE.exec(head.slice(start))) || []
  if (start === undefined || start > MAX_PREAMBLE || !line || !boundary || !newline) return undefined
  return { start: start + line.length, boundary, newline }
}

function readParts(body: Buffer, { start, boundary, newline }: Form): Part[] {
  const parts: Part[] = []
  const delimiter = Buffer.from(`${newline}--${boundary}`, 'latin1')
  let at = start
  for (;;) {
    const { headers, contentsStart } = readHeaders(body, at, newline)
    const end = findDelimiter(body, delimiter, contentsStart - newline.length, newline)
    if (end === undefined) throw cutOff(`its closing boundary ${quote(`--${boundary}--`)} is missing`)
    const contents = body.subarray(contentsStart, Math.max(contentsStart, end.at))
    parts.push({
      filename: filenameOf(headers.get('content-disposition') ?? ''),
      encoding: headers.get('content-transfer-encoding')?.toLowerCase(),
      compression: headers.get('content-encoding')?.toLowerCase(),
      type: headers.get('content-type') ?? '',
      contents,
    })
    if (end.closes) return parts
    at = end.next
  }
}

/** Keyed by lower-case name; a line that begins with a space continues the one before. */
function readHeaders(body: Buffer, start: number, newline: string) {
  const text = body.toString('latin1', start, start + MAX_HEADERS)
  const end = text.startsWith(newline) ? 0 : text.indexOf(newline + newline)
  if (end === -1) throw cutOff('the headers of a part do not end')
  const headers = new Map<string, string>()
  const lines = text.slice(0, end).replaceAll(/\r?\n[\t ]+/g, ' ')
  for (const line of lines.split(newline)) {
    const colon = line.indexOf(':')
    if (colon > 0) headers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim())
  }
  return { headers, contentsStart: start + end + (end === 0 ? newline.length : 2 * newline.length) }
}

/** Only a whole line delimits: a part may contain the boundary followed by other characters. */
function findDelimiter(body: Buffer, delimiter: Buffer, from: number, newline: string) {
  for (let at = body.indexOf(delimiter, from); at !== -1; at = body.indexOf(delimiter, at + 1)) {
    const behind = at + delimiter.length
    if (body.toString('latin1', behind, behind + 2) === '--') return { at, closes: true, next: behind }
    let end = behind
    while (body[end] === 0x20 || body[end] === 0x09) end++
    if (body.toString('latin1', end, end + newline.length) === newline) {
      return { at, closes: false, next: end + newline.length }
    }
  }
  return undefined
}

function chooseFile(parts: readonly Part[]): Part {
  // A browser sends an empty file field as a file without name and content.
  const files = parts.filter(({ filename, contents }) => filename !== undefined && (filename || contents.length > 0))
  const candidates = files.length > 0 ? files : parts.filter(({ contents }) => isZip(contents))
  const [file] = candidates
  if (file ? holdsForm(file) : parts.some(holdsForm)) {
    throw unclear('what it holds is a multipart form again, as of a body that was wrapped twice')
  }
  if (file === undefined) throw unclear(`none of its ${parts.length} parts is a file`)
  if (candidates.length > 1) {
    const names = candidates.map(({ filename }) => quote(filename ?? '')).slice(0, 5)
    throw unclear(`${candidates.length} of its parts are files (${names.join(', ')})`)
  }
  if (file.encoding === 'base64' || file.encoding === 'quoted-printable') {
    throw unclear(`its file is encoded in ${file.encoding}, and only bytes as they are are allowed`)
  }
  if (file.compression && file.compression !== 'identity' && !isZip(file.contents)) {
    throw unclear(`its file was compressed once more, by ${quote(file.compression)} (its Content-Encoding)`)
  }
  return file
}

function holdsForm({ type, contents }: Part): boolean {
  return !isZip(contents) && (/^multipart\//i.test(type) || findForm(contents) !== undefined)
}

const isZip = (bytes: Buffer) => bytes.subarray(0, 2).equals(PK)

/** RFC 7578, 4.2. Some clients send `filename*` (RFC 8187) although that RFC forbids it. */
function filenameOf(disposition: string): string | undefined {
  const [, quoted, bare] = /;\s*filename\*?\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;]*))/i.exec(disposition) ?? []
  const name = quoted ?? bare
  return name === undefined ? undefined : Buffer.from(name, 'latin1').toString('utf8')
}

function cutOff(problem: string): ArchiveRefused {
  return new ArchiveRefused(`not a whole archive: it came as a multipart form, and ${problem}`)
}

function unclear(problem: string): ArchiveRefused {
  const message = `no archive: it came as a multipart form, and ${problem}; send one file, a zip archive`
  return new ArchiveRefused(message)
}
