import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { AgentConfig } from '../config/config.js'
import type { UidRange } from '../os/platform.js'
import { StartRefused } from './start-refused.js'

/** A directory service may take long to list its users; those of this machine come at once. */
const LIST_LIMIT_MS = 5_000

/** Who has ids of a range. */
interface Holder extends UidRange {
  /** As in "user bob". */
  readonly who: string
}

/**
 * Throws StartRefused where somebody on this machine has ids that are to be functions' own. Blocks; main thread, at the
 * start.
 */
export function refuseTakenUids({ functions, file = 'configuration' }: AgentConfig): void {
  const problem = uidsProblem(functions.uids)
  if (problem) throw new StartRefused(`${file}: functions.uids: ${problem.message}; ${problem.fix}`)
}

/** Who has ids of the range, and what to do about it; undefined where nobody has. Blocks. */
export function uidsProblem(uids: UidRange): { readonly message: string; readonly fix: string } | undefined {
  const holder = holders().find(({ first, last }) => first <= uids.last && last >= uids.first)
  if (!holder) return undefined
  const { who, first, last } = holder
  const theirs = first === last ? `id ${first}` : `ids ${first}-${last}`
  return {
    message: `${uids.first}-${uids.last} takes ${theirs}, which ${who} has`,
    fix: 'give a range of ids that nobody has',
  }
}

function holders(): Holder[] {
  return [
    ...database('passwd').flatMap(([name, , id]) => holder(`user ${name}`, id, '1')),
    ...database('group').flatMap(([name, , id]) => holder(`group ${name}`, id, '1')),
    ...['/etc/subuid', '/etc/subgid'].flatMap((file) =>
      read(file).flatMap(([name, first, count]) => holder(`${name}, by ${file},`, first, count)),
    ),
  ]
}

function holder(who: string, first: string | undefined, count: string | undefined): Holder[] {
  const [from, ids] = [Number(first), Number(count)]
  return ids > 0 ? [{ who, first: from, last: from + ids - 1 }] : []
}

/** The lines of a database of this system (getent(1)), split at colons. */
function database(name: 'passwd' | 'group'): string[][] {
  try {
    const text = execFileSync('getent', [name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: LIST_LIMIT_MS,
      maxBuffer: Number.POSITIVE_INFINITY,
    })
    return lines(text)
  } catch {
    return read(`/etc/${name}`)
  }
}

function read(file: string): string[][] {
  try {
    return lines(readFileSync(file, 'utf8'))
  } catch {
    return []
  }
}

function lines(text: string): string[][] {
  return text
    .split('\n')
    .filter((line) => line.includes(':') && !line.startsWith('#'))
    .map((line) => line.split(':'))
}
