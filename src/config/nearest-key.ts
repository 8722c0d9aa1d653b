import { closest, distance } from 'fastest-levenshtein'

/** Keys that differ by more than this share count as unrelated. */
const ALIKE = 1 / 2

/** A key, and how a message names it. */
interface Candidate {
  readonly key: string
  readonly path: string
}

/** The candidate that was probably meant, the first of equal ones; undefined where none is similar. */
export function nearestKey(key: string, candidates: readonly Candidate[]): Candidate | undefined {
  const names = candidates.map((candidate) => candidate.key)
  const near = candidates[names.indexOf(closest(key, names))]
  return near !== undefined && distance(plain(key), plain(near.key)) <= near.key.length * ALIKE ? near : undefined
}

/** A key without its style, as in agentId or agent-id. */
function plain(key: string): string {
  return key.toLowerCase().replaceAll(/[^a-z\d]/g, '')
}
