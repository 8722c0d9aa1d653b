/** Bytes [from, to) of an output are missing from the store. */
export interface Gap {
  readonly from: number
  readonly to: number
}

/** Sorts gaps and joins those that touch. */
export function joinedGaps(gaps: readonly Gap[]): Gap[] {
  const joined: Gap[] = []
  for (const gap of gaps.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1)
    if (last && gap.from <= last.to) joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, gap.to) }
    else joined.push(gap)
  }
  return joined
}

/** The end of the readable range that begins at `from`: the next gap, or `to`. Equals `from` inside a gap. */
export function readableEnd(gaps: readonly Gap[], from: number, to: number): number {
  for (const gap of gaps) {
    if (gap.to <= from) continue
    return gap.from <= from ? from : Math.min(gap.from, to)
  }
  return to
}

export const bytesOf = (gaps: readonly Gap[]) => gaps.reduce((sum, { from, to }) => sum + to - from, 0)

/** Replaces missing bytes where output is read as text. */
export function lostMark(bytes: number): string {
  return `\n[flux-agent: ${bytes} bytes of output lost]\n`
}
