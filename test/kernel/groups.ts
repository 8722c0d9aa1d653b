import { chownSync, mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { TestAgent } from '../../harness/agent.js'
import { onExit } from '../../harness/on-exit.js'
import { childrenOf as childProcessesOf } from '../../harness/proc.js'
import { childrenOf, killCgroup, removeTree } from '../../src/os/linux/cgroup-files.js'

/** The cgroups of the guest kernel. */

export const ROOT = '/sys/fs/cgroup'

/** Below the root; at the latest when this process ends, it is gone with all that runs in it. */
export function makeGroup(name: string): string {
  const dir = join(ROOT, name)
  mkdirSync(dir)
  onExit(() => {
    killCgroup(dir)
    removeTree(dir)
  })
  return dir
}

/** Hands a cgroup over to a user, as a service manager does (cgroups(7), delegation). */
export function delegate(dir: string, { uid, gid }: { readonly uid: number; readonly gid: number }): void {
  for (const name of ['', 'cgroup.procs', 'cgroup.threads', 'cgroup.subtree_control']) {
    chownSync(join(dir, name), uid, gid)
  }
}

/** The command that becomes a program in that cgroup. */
export function within(dir: string): ['/bin/sh', ...string[]] {
  return ['/bin/sh', '-c', 'echo $$ >"$0/cgroup.procs" && exec "$@"', dir]
}

export function readGroup(dir: string, file: string): string {
  return readFileSync(join(dir, file), 'latin1').trim()
}

/** A number behind its word, as in memory.events. */
export function counter(dir: string, file: string, word: string): number {
  const [, value] = new RegExp(`^${word} (\\d+)$`, 'm').exec(readGroup(dir, file)) ?? []
  return Number(value)
}

/** Paths of all cgroups below one. */
export function groupsBelow(dir: string): string[] {
  return childrenOf(dir).flatMap((name) => [join(dir, name), ...groupsBelow(join(dir, name))])
}

/** The cgroup of a process, by what it reads in /proc/self/cgroup. */
export function groupIn(membership: string): string {
  const [, path] = /^0::(.*)$/m.exec(membership) ?? []
  if (path === undefined) throw new Error(`no cgroup of version 2 in ${membership}`)
  return join(ROOT, path)
}

export function launchersOf(agent: Pick<TestAgent, 'pid'>): number[] {
  return childProcessesOf(agent.pid).flatMap(({ pid, command }) => (command === 'launcher' ? [pid] : []))
}

/** The folder in which the agent makes the cgroups of its executions. */
export function executionsOf(agent: Pick<TestAgent, 'pid'>): string {
  const [launcher] = launchersOf(agent)
  const [, cgroup] = readFileSync(`/proc/${launcher}/cmdline`, 'latin1').split('\0')
  if (!cgroup) throw new Error('the launcher was given no cgroup')
  return dirname(cgroup)
}

/** Shell: holds so many MiB at once; not by a shell's own means, which take the guest seconds. */
export function hold(mebibytes: number): string {
  return `perl -e '$held = "x" x ($ARGV[0] << 20)' ${mebibytes}`
}

/** Every process in a cgroup and below it. */
export function pidsBelow(dir: string): number[] {
  return [dir, ...groupsBelow(dir)].flatMap((group) => {
    try {
      return (readGroup(group, 'cgroup.procs').match(/\d+/g) ?? []).map(Number)
    } catch {
      // It is gone meanwhile.
      return []
    }
  })
}

/** Its words, with a blank between them; empty where it has ended. */
export function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').join(' ').trim()
  } catch {
    return ''
  }
}
