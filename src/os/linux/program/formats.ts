/** A format that is easily mistaken for a program. */
export interface Format {
  readonly kind: 'text' | 'binary'
  readonly name: string
  readonly fix: string
}

const SCRIPT_FIX = 'its first line has to name an interpreter, as in #!/bin/sh'
const BUILD_FIX = 'build it for Linux'
const UNPACK_FIX = 'unpack it before the deploy'

const MAGICS: readonly (readonly [magic: string, Format])[] = [
  [
    '\xef\xbb\xbf#!',
    text('a script behind a byte order mark', 'a byte order mark comes before #!; save it as UTF-8 without one'),
  ],
  ['\xff\xfe', text('UTF-16 text', 'it is UTF-16; save it as UTF-8')],
  ['\xfe\xff', text('UTF-16 text', 'it is UTF-16; save it as UTF-8')],
  ['#\0!\0', text('UTF-16 text', 'it is UTF-16; save it as UTF-8')],
  ['\0#\0!', text('UTF-16 text', 'it is UTF-16; save it as UTF-8')],
  [
    'version https://git-lfs.',
    text('a pointer of Git LFS', 'it only points to a file of Git LFS: run `git lfs pull` before the deploy'),
  ],
  ['MZ', binary('a program for Windows', BUILD_FIX)],
  ['\xcf\xfa\xed\xfe', binary('a program for macOS', BUILD_FIX)],
  ['\xce\xfa\xed\xfe', binary('a program for macOS', BUILD_FIX)],
  ['\xca\xfe\xba\xbe\0\0\0\x02', binary('a program for macOS', BUILD_FIX)],
  ['\xca\xfe\xba\xbe', binary('a Java class', 'make a script the handler that runs it, as in exec java Main')],
  [
    'PK\x03\x04',
    binary('a zip or jar archive', 'make a script the handler that runs it, as in exec java -jar app.jar'),
  ],
  ['\0asm', binary('a WebAssembly module', 'make a script the handler that runs it')],
  ['\x1f\x8b', binary('compressed by gzip', UNPACK_FIX)],
  ['BZh', binary('compressed by bzip2', UNPACK_FIX)],
  ['\xfd7zXZ\0', binary('compressed by xz', UNPACK_FIX)],
  ['\x28\xb5\x2f\xfd', binary('compressed by Zstandard', UNPACK_FIX)],
]
/** The magic of Python 3's bytecode (version 3000 and above, then a line end), and of Python 2.7's. */
const PYTHON = /^(?:[\s\S][\x0b-\x0f]|\x03\xf3)\r\n/
/** The first bytes of text. */
const PRINTABLE = /^[\t\n\r\f\x1b\x20-\x7e\x80-\xff]*$/

/** The format of a file by its start; undefined where it is unknown. */
export function foreignFormat(head: Buffer): Format | undefined {
  const start = head.toString('latin1', 0, 256)
  for (const [magic, format] of MAGICS) if (start.startsWith(magic)) return format
  if (PYTHON.test(start)) {
    return binary('compiled Python', 'make a script the handler that runs it, as in exec python3 main.pyc')
  }
  return PRINTABLE.test(start) ? text('text', firstLineFix(head.toString('utf8', 0, 256))) : undefined
}

function firstLineFix(start: string): string {
  if (/^[\s\p{Cf}]+#!/u.test(start)) return '#! has to be its first two bytes'
  const [line] = /^[\s\p{Cf}]*[#!]\s*[!#]?\s*\/\S*\bbin\/[^\r\n]*/u.exec(start) ?? []
  if (line === undefined) return SCRIPT_FIX
  const meant = line.replace(/^[\s\p{Cf}!#]+/u, '#!')
  return `its first line is ${JSON.stringify(line.trim())}; write ${meant.trim()}, with nothing before and between #!`
}

function text(name: string, fix: string): Format {
  return { kind: 'text', name, fix }
}

function binary(name: string, fix: string): Format {
  return { kind: 'binary', name, fix }
}
