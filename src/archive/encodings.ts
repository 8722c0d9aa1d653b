/** Encodings seen in archives' names, the stricter ones first. */
const EAST_ASIAN = ['shift_jis', 'euc-jp', 'gbk', 'big5', 'euc-kr']
/** Almost every byte is a letter in these, so they are suggested only where nothing else fits. */
const SINGLE_BYTE = ['windows-1252', 'windows-1251']
/** From zips made on Windows. Few of its upper bytes are letters, so that little else fits it. */
const CYRILLIC = ['ibm866']
const SHOWN = 2

/**
 * Suggests the encodings of a name that is not UTF-8, to follow words about it: ` (it could be "…" in shift_jis)`.
 * Empty where none fits.
 */
export function encodingHint(name: Buffer): string {
  const east = readings(name, EAST_ASIAN).slice(0, SHOWN)
  const west = readings(name, SINGLE_BYTE).slice(0, SHOWN)
  const lone = standAlone(name)
  const wide = lone ? east : [...east, ...readings(name, CYRILLIC)]
  const isWestern = lone && readings(name, SINGLE_BYTE.slice(0, 1)).length > 0
  const found = isWestern || wide.length === 0 ? west : wide
  return found.length === 0 ? '' : ` (it could be ${found.join(' or ')})`
}

/** Whether non-ASCII bytes stand alone between ASCII ones, as in words of Western Europe. */
function standAlone(name: Buffer): boolean {
  return !name.some((byte, at) => byte >= 0x80 && (name[at + 1] ?? 0) >= 0x80)
}

function readings(name: Buffer, encodings: readonly string[]): string[] {
  return encodings.flatMap((encoding) => {
    const text = decode(name, encoding)
    return text === undefined ? [] : [`${JSON.stringify(text)} in ${encoding}`]
  })
}

/** Undefined unless it decodes to letters and printable ASCII. */
function decode(name: Buffer, encoding: string): string | undefined {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(name)
    return /^[\x20-\x7e\p{L}\p{M}\p{N}]*$/u.test(text) ? text : undefined
  } catch {
    return undefined
  }
}
