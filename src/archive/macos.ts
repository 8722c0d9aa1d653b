/** Of the Finder: how it shows a folder, and the folder's icon. */
const FINDERS = /(?:^|\/)(?:\.DS_Store|Icon\r)$/
/** Where its archives keep what of a file has no place elsewhere (AppleDouble, RFC 1740). */
const APART = /(?:^|\/)__MACOSX(?:\/|$)/
const BESIDE = /^(.*\/)?\._([^/]+)$/s

/** Whether that path is of a file that macOS keeps for itself, and that is no one's code. */
export function isOfMacOS(path: string): boolean {
  return FINDERS.test(path) || APART.test(path)
}

/** The file about which `._file` says more, in the same format, where both are there. */
export function describedBy(path: string): string | undefined {
  const [, folder = '', name] = BESIDE.exec(path) ?? []
  return name === undefined ? undefined : folder + name
}
