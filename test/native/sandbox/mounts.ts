import { readFileSync } from 'node:fs'

/** A folder of a test's, of its own or in the runner's home. */
const OF_TESTS = / \S*\/flux-[^ /]+(?:\/\S*)? (?:rw|ro),/

/** What is mounted where a process is, but for what other tests mount meanwhile. `own`: this test's folder. */
export function mountsOf(pid: number | 'self', own: string): string {
  const lines = readFileSync(`/proc/${pid}/mountinfo`, 'utf8').split('\n')
  return lines.filter((line) => !OF_TESTS.test(line) || line.includes(` ${own}`)).join('\n')
}
