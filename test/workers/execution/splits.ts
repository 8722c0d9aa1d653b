import fc from 'fast-check'

/** Where an output is cut into chunks: each number is the share of what is left, in thousandths. */
export const splits = fc.array(fc.nat(1000), { maxLength: 30, size: 'max' })

/** Cuts bytes into chunks; some may be empty. Nothing is lost. */
export function split(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  let rest = bytes
  for (const cut of cuts) {
    const length = Math.floor((rest.length * cut) / 1000)
    chunks.push(rest.subarray(0, length))
    rest = rest.subarray(length)
  }
  return [...chunks, rest]
}
