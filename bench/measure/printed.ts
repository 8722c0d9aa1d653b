/** What printer.c prints, and checks of answers against it. */

const LINE = 16
/** Bytes that every agent of the contract retains by default. */
const KEPT_WHOLE = 32 * 2 ** 20
/** The longest mark for output that was left out. */
const MARK_MAX = 200

/** The first bytes that it prints. */
export function printedBytes(length: number): Buffer {
  const lines = Math.ceil(length / LINE)
  const bytes = Buffer.allocUnsafe(lines * LINE)
  for (let line = 0; line < lines; line++) bytes.write(`${String(line * LINE).padStart(LINE - 1, '0')}\n`, line * LINE)
  return bytes.subarray(0, length)
}

/** Throws unless the output is what was printed; where an agent cuts it, its start and end with one line between. */
export function checkPrinted(printed: Buffer, output: Buffer): void {
  if (output.equals(printed)) return
  const unlike = new Error(`an output of ${printed.length} bytes came back as ${output.length} others`)
  if (printed.length <= KEPT_WHOLE || output.length > printed.length) throw unlike
  const head = commonStart(printed, output)
  const end = output.length - Math.min(output.length, head + MARK_MAX)
  for (let tail = output.length - head; tail >= end; tail--) {
    if (printed.subarray(printed.length - tail).equals(output.subarray(output.length - tail))) return
  }
  throw unlike
}

function commonStart(one: Buffer, other: Buffer): number {
  let low = 0
  let high = Math.min(one.length, other.length)
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (one.subarray(0, middle).equals(other.subarray(0, middle))) low = middle
    else high = middle - 1
  }
  return low
}
