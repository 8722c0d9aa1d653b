import { spawnSync } from 'node:child_process'

/** Why tests that take descriptors from a running agent are skipped; undefined where they can. */
export const noPrlimit: string | undefined =
  process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0 ? undefined : 'there is no prlimit'

/** How many descriptors a process may have from now on; those it has stay open. One that has ended has no limit. */
export function limitDescriptors(pid: number, limit: number): void {
  spawnSync('prlimit', ['--pid', String(pid), `--nofile=${limit}:`])
}
