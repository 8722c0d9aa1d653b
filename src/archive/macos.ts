/** Files of the Finder: how it shows a folder, and the folder's icon. */
const FINDERS = /(?:^|\/)(?:\.DS_Store|Icon\r)$/
/** The folder in which macOS archives keep extended attributes (AppleDouble, RFC 1740). */
const APART = /(?:^|\/)__MACOSX(?:\/|$)/
const BESIDE = /^(.*\/)?\._([^/]+)$/s

/** Whether a file is macOS's own metadata, and no part of the code. */
export function isOfMacOS(path: string): boolean {
  return FINDERS.test(path) || APART.test(path)
}

/** The file that `._file` describes, in AppleDouble format; undefined for other names. */
export function describedBy(path: string): string | undefined {
  const [, folder = '', name] = BESIDE.exec(path) ?? []
  return name === undefined ? undefined : folder + name
}
