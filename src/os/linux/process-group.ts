import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS } from '../../generated/native/launcher-protocol.js'
import { processStat } from './process-stat.js'

/** Sends SIGKILL to every process of a group; false where the group is empty. Any thread. */
export function killGroup(pid: number): boolean {
  return signalGroup(pid, 'SIGKILL')
}

/** Resolves once a killed group is dead, or after KILL_LIMIT_MS with the pids of those that live. */
export async function groupDead(pid: number): Promise<number[]> {
  const deadline = performance.now() + KILL_LIMIT_MS
  for (let wait = 1; signalGroup(pid, 0) && performance.now() < deadline; wait = Math.min(wait * 2, 50)) {
    // Init reaps orphans when it likes, in a container perhaps never: zombies count as dead.
    if (wait >= 8 && livingMembers(pid).length === 0) return []
    await sleep(wait)
    killGroup(pid)
  }
  return signalGroup(pid, 0) ? livingMembers(pid) : []
}

/**
 * Kills all descendants of these leaders, in whatever group: the launcher marks each process with its leader's pid, as
 * a resource limit without effect (tag.h), which descendants inherit unless they change it. Any thread.
 */
export function killTagged(leaders: ReadonlySet<number>): void {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const limits = readFileSync(`/proc/${entry}/limits`, 'latin1')
      const [, tag] = /^Max file locks +\S+ +(\d+) /m.exec(limits) ?? []
      if (tag !== undefined && leaders.has(Number(tag))) process.kill(Number(entry), 'SIGKILL')
    } catch {
      // It has ended, or belongs to another user.
    }
  }
}

function signalGroup(pid: number, signal: 'SIGKILL' | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch (error) {
    // EPERM: the remaining processes changed their user, but exist.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function livingMembers(group: number): number[] {
  const members = readdirSync('/proc').filter((entry) => {
    const stat = /^\d+$/.test(entry) ? processStat(entry) : undefined
    return stat?.group === group && stat.state !== 'Z' && stat.state !== 'X'
  })
  return members.map(Number)
}
