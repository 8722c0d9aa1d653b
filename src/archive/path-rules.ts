/** Linux's own limits, bytes of UTF-8. */
const MAX_COMPONENT = 255
const MAX_PATH = 4096

const WINDOWS_CHARACTERS = /[<>:"|?*]/
/** Reserved with any extension, also after spaces. */
const WINDOWS_DEVICE = /^(con|conin\$|conout\$|prn|aux|nul|(com|lpt)[0-9¹²³]) *(\.|$)/i
/** MAX_PATH without its NUL, in UTF-16 units. It limits programs only: Node opens files by extended paths. */
const WINDOWS_MAX_PROGRAM = 259

/** Each problem continues a sentence that begins with the name. */
export const ABSOLUTE = 'is an absolute path; only paths relative to the archive are allowed'

/**
 * What is wrong with a relative path whose components are separated by `/`; undefined where it is valid. A valid path
 * stays inside the folder it is joined to, except through symbolic links.
 */
export function pathProblem(path: string, platform: NodeJS.Platform): string | undefined {
  if (path === '') return 'has no name'
  if (path.startsWith('/') || (platform === 'win32' && /^[a-z]:/i.test(path))) return ABSOLUTE
  if (Buffer.byteLength(path) > MAX_PATH) return `is longer than the ${MAX_PATH} bytes allowed for a path`
  for (const component of path.split('/')) {
    const problem = componentProblem(component, platform)
    if (problem !== undefined) return problem
  }
  return undefined
}

/** What is wrong with a single name, which must not be a path. */
export function componentProblem(name: string, platform: NodeJS.Platform): string | undefined {
  if (name === '..') return 'contains ".."; only paths that stay inside the archive are allowed'
  if (name === '') return 'contains an empty name; exactly one "/" is allowed between two names'
  if (name === '.') return 'contains "."; only plain names are allowed between two "/"'
  if (/\p{Cc}/u.test(name)) return 'contains control characters; only printable names are allowed'
  if (name.includes('\uFFFD')) return 'is not valid UTF-8'
  if (name.includes('/') || (platform === 'win32' && name.includes('\\'))) return 'contains a slash or backslash'
  if (Buffer.byteLength(name) > MAX_COMPONENT) return `contains a name longer than the ${MAX_COMPONENT} bytes allowed`
  if (platform === 'win32') {
    if (WINDOWS_CHARACTERS.test(name)) return 'contains one of < > : " | ? *, which Windows does not allow in a name'
    if (WINDOWS_DEVICE.test(name)) return 'is the name of a device on Windows'
    if (/[. ]$/.test(name)) return 'ends in a dot or a space, which Windows does not allow'
  }
  return undefined
}

/** Why Windows cannot start a program from this absolute path, to follow its name in a sentence. */
export function programPathProblem(path: string, platform: NodeJS.Platform): string | undefined {
  if (platform !== 'win32' || path.length <= WINDOWS_MAX_PROGRAM) return undefined
  return `would lie at a path of ${path.length} characters; Windows starts programs from at most ${WINDOWS_MAX_PROGRAM}: shorten it, or apps_dir`
}

/**
 * Names with equal keys are one file on that platform. NTFS compares capitals unit by unit: `σ` and `ς` are equal, `ß`
 * and `SS` are not.
 */
export function nameKey(name: string, platform: NodeJS.Platform): string {
  if (platform !== 'win32') return name
  return name.replace(/./gs, (unit) => (unit.toUpperCase().length === 1 ? unit.toUpperCase() : unit))
}
