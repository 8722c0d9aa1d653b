/** Output that the store lacks: bytes [from, to) of it were lost before or after they were written. */
export interface Gap {
  readonly from: number
  readonly to: number
}

/** In order, none touching another. */
export function joinedGaps(gaps: readonly Gap[]): Gap[] {
  const joined: Gap[] = []
  for (const gap of gaps.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1)
    if (last && gap.from <= last.to) joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, gap.to) }
    else joined.push(gap)
  }
  return joined
}

/** How far output can be read from `from` on before a gap begins or `to` is reached; `from` itself inside a gap. */
export function readableEnd(gaps: readonly Gap[], from: number, to: number): number {
  for (const gap of gaps) {
    if (gap.to <= from) continue
    return gap.from <= from ? from : Math.min(gap.from, to)
  }
  return to
}

export const bytesOf = (gaps: readonly Gap[]) => gaps.reduce((sum, { from, to }) => sum + to - from, 0)

/** The line that stands for bytes that are missing, where output is read as one text. */
export function lostMark(bytes: number): string {
  return `\n[flux-agent: ${bytes} bytes of output lost]\n`
}
