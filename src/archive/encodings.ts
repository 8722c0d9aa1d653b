/** Encodings that names in archives are met in, the stricter ones first. */
const EAST_ASIAN = ['shift_jis', 'euc-jp', 'gbk', 'big5', 'euc-kr']
/** Nearly every byte is a letter in them, so that they are only worth naming where no other fits. */
const SINGLE_BYTE = ['windows-1252', 'windows-1251']
/** Of zips made in Windows; few of its upper bytes are letters, so that it fits little else. */
const CYRILLIC = ['ibm866']
const SHOWN = 2

/** What a name that is not UTF-8 could be, to follow words about it: ` (it could be "…" in Shift_JIS)`; or nothing. */
export function encodingHint(name: Buffer): string {
  const east = readings(name, EAST_ASIAN).slice(0, SHOWN)
  const west = readings(name, SINGLE_BYTE).slice(0, SHOWN)
  const lone = standAlone(name)
  const wide = lone ? east : [...east, ...readings(name, CYRILLIC)]
  const isWestern = lone && readings(name, SINGLE_BYTE.slice(0, 1)).length > 0
  const found = isWestern || wide.length === 0 ? west : wide
  return found.length === 0 ? '' : ` (it could be ${found.join(' or ')})`
}

/** Whether letters of ASCII stand around each other one, as in words of Western Europe. */
function standAlone(name: Buffer): boolean {
  return !name.some((byte, at) => byte >= 0x80 && (name[at + 1] ?? 0) >= 0x80)
}

function readings(name: Buffer, encodings: readonly string[]): string[] {
  return encodings.flatMap((encoding) => {
    const text = decode(name, encoding)
    return text === undefined ? [] : [`${JSON.stringify(text)} in ${encoding}`]
  })
}

/** Undefined where it is no text of letters in that encoding. */
function decode(name: Buffer, encoding: string): string | undefined {
  try {
    const text = new TextDecoder(encoding, { fatal: true }).decode(name)
    return /^[\x20-\x7e\p{L}\p{M}\p{N}]*$/u.test(text) ? text : undefined
  } catch {
    return undefined
  }
}
