import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS } from '../../generated/native/launcher-protocol.js'
import { processStat } from './process-stat.js'

/** Sends SIGKILL to every process of the group; false when the group has none. From any thread. */
export function killGroup(pid: number): boolean {
  return signalGroup(pid, 'SIGKILL')
}

/** Resolves once no process of a killed group runs any more, or after KILL_LIMIT_MS, with the pids of those that do. */
export async function groupDead(pid: number): Promise<number[]> {
  const deadline = performance.now() + KILL_LIMIT_MS
  for (let wait = 1; signalGroup(pid, 0) && performance.now() < deadline; wait = Math.min(wait * 2, 50)) {
    // Orphans are reaped by init, at its leisure, and in a container perhaps never: a zombie is dead enough.
    if (wait >= 8 && livingMembers(pid).length === 0) return []
    await sleep(wait)
    killGroup(pid)
  }
  return signalGroup(pid, 0) ? livingMembers(pid) : []
}

/**
 * Kills what descends from these leaders wherever it has gone, as long as it has not disowned them: each process they
 * started through the launcher carries its leader's pid as a resource limit that has no effect (tag.h). From any thread.
 */
export function killTagged(leaders: ReadonlySet<number>): void {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue
    try {
      const limits = readFileSync(`/proc/${entry}/limits`, 'latin1')
      const [, tag] = /^Max file locks +\S+ +(\d+) /m.exec(limits) ?? []
      if (tag !== undefined && leaders.has(Number(tag))) process.kill(Number(entry), 'SIGKILL')
    } catch {
      // It has ended, or is somebody else's.
    }
  }
}

function signalGroup(pid: number, signal: 'SIGKILL' | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch (error) {
    // EPERM: what is left of the group has changed its user; it is there all the same.
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
