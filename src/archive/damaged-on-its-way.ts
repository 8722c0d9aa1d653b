import { isUtf8 } from 'node:buffer'

const CR = 0x0d
const LF = 0x0a
/**
 * Compressed data of this size practically always contains line feeds, and some without a carriage return before them.
 */
const ENOUGH_BYTES = 8 * 1024
const ENOUGH_LINES = 16

/**
 * How the sender changed the bytes of an archive (as text, without line ends), for a message; undefined where nothing
 * shows.
 */
export function damageOnItsWay(bytes: Buffer): string | undefined {
  if (bytes.toString('latin1', 0, 2) !== 'PK') return undefined
  if (bytes.some((byte) => byte >= 0x80) && isUtf8(bytes)) {
    return 'it was read as text, and what is no UTF-8 replaced; read and send it as bytes'
  }
  const lines = countLines(bytes)
  if (lines.all === 0 && bytes.length >= ENOUGH_BYTES && !bytes.includes(CR)) {
    return 'its line ends were removed, as by curl -d; send it as bytes, as curl --data-binary or -T does'
  }
  if (lines.all >= ENOUGH_LINES && lines.windows === lines.all) {
    return 'its line ends were changed to those of Windows; send it as bytes, not as text'
  }
  return undefined
}

function countLines(bytes: Buffer): { readonly all: number; readonly windows: number } {
  let all = 0
  let windows = 0
  for (let at = bytes.indexOf(LF); at !== -1; at = bytes.indexOf(LF, at + 1)) {
    all++
    if (bytes[at - 1] === CR) windows++
  }
  return { all, windows }
}
