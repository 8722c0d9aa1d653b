import { distance } from 'fastest-levenshtein'

/** Ways in which one name may have become another, the surest first. */
const SPELLINGS: readonly (readonly [spelled: (path: string) => string, why: string])[] = [
  [(path) => path.normalize('NFC'), ', whose letters are composed otherwise (Unicode NFC and NFD, as macOS has it)'],
  [(path) => path.replaceAll('\\', '/'), ', whose backslashes are part of its name: the zip says it was made on Unix'],
  [(path) => path.toLowerCase(), ''],
  [(path) => withoutEnding(path).toLowerCase(), ''],
]

/** Names that differ by more than this share count as unrelated. */
const ALIKE = 1 / 3
/** Comparing more paths would take too long. */
const MAX_COMPARED = 20_000

/** Suggests the path that was probably meant, to follow "is not in the archive". Empty where none is similar. */
export function suggest(missing: string, paths: readonly string[]): string {
  for (const [spelled, why] of SPELLINGS) {
    const found = paths.find((path) => spelled(path) === spelled(missing))
    if (found !== undefined) return words(found, why)
  }
  const name = plain(missing)
  const deeper = shortest(paths.filter((path) => plain(path).endsWith(`/${name}`)))
  if (deeper !== undefined) return words(deeper, '')
  const higher = paths.find((path) => name.endsWith(`/${plain(path)}`))
  if (higher !== undefined) return words(higher, '')
  const elsewhere = shortest(paths.filter((path) => lastOf(plain(path)) === lastOf(name)))
  if (elsewhere !== undefined) return words(elsewhere, '')
  return closest(missing, paths)
}

function closest(missing: string, paths: readonly string[]): string {
  let best: { path: string; steps: number } | undefined
  for (const path of paths.slice(0, MAX_COMPARED)) {
    if (path.length > 2 * missing.length) continue
    const steps = Math.min(distance(missing, path), distance(lastOf(missing), lastOf(path)) + 1)
    if (steps <= missing.length * ALIKE && steps < (best?.steps ?? Number.POSITIVE_INFINITY)) best = { path, steps }
  }
  return best === undefined ? '' : words(best.path, '')
}

function words(path: string, why: string): string {
  return `; did you mean ${JSON.stringify(path)}${why}?`
}

/** The path with all spelling differences removed. */
function plain(path: string): string {
  return SPELLINGS.reduce((spelled, [change], index) => (index < 3 ? change(spelled) : spelled), path)
}

function withoutEnding(path: string): string {
  return path.replace(/(?<=[^/])\.[^./]*$/, '')
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}

function shortest(paths: readonly string[]): string | undefined {
  return paths.reduce<string | undefined>((best, path) => (best && best.length <= path.length ? best : path), undefined)
}
