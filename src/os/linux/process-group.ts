import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { KILL_LIMIT_MS } from '../../generated/native/launcher-protocol.js'
import { type ProcessStat, processStat } from './process-stat.js'

/** What the two parts of a tag add up to (tag.c). */
const TAG_SUM = 2n ** 60n

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
  for (const pid of pids()) {
    const { leader } = tagOf(pid)
    if (leader !== undefined && leaders.has(Number(leader))) signal(pid, 'SIGKILL')
  }
}

/**
 * Kills what is left of executions whose leader is dead, until nothing is, or for KILL_LIMIT_MS: a launcher that lives does
 * so itself, at once. Any thread.
 */
export async function killLeaderless(): Promise<void> {
  const deadline = performance.now() + KILL_LIMIT_MS
  for (let left = leaderless(); left.length > 0 && performance.now() < deadline; left = leaderless()) {
    for (const pid of left) signal(pid, 'SIGKILL')
    await sleep(1)
  }
}

function leaderless(): number[] {
  return pids().filter((pid) => {
    const leader = isAlive(pid) ? provenLeaderOf(pid) : undefined
    return leader !== undefined && !(isAlive(leader) && provenLeaderOf(leader) === leader)
  })
}

function isAlive(pid: number): boolean {
  return isLiving(processStat(pid))
}

/** Undefined where it has none, or has disowned it, or others may have set those limits. */
function provenLeaderOf(pid: number): number | undefined {
  const { leader, counterpart } = tagOf(pid)
  if (leader === undefined || counterpart === undefined || leader + counterpart !== TAG_SUM) return undefined
  return namespaceOf(pid) === namespaceOf('self') ? Number(leader) : undefined
}

/** In which its pid is what tags say; undefined where that cannot be seen. */
function namespaceOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return undefined
  }
}

/** Hard limits. Empty where they cannot be read, as where the process has ended, or are none. */
function tagOf(pid: number): { readonly leader?: bigint; readonly counterpart?: bigint } {
  try {
    const limits = readFileSync(`/proc/${pid}/limits`, 'latin1')
    const [, leader] = /^Max file locks +\S+ +(\d+) /m.exec(limits) ?? []
    const [, counterpart] = /^Max realtime timeout +\S+ +(\d+) /m.exec(limits) ?? []
    return { ...(leader && { leader: BigInt(leader) }), ...(counterpart && { counterpart: BigInt(counterpart) }) }
  } catch {
    return {}
  }
}

function pids(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .map(Number)
}

function signalGroup(pid: number, what: 'SIGKILL' | 0): boolean {
  return signal(-pid, what)
}

/** Whether there is such a process, or group. */
function signal(pid: number, what: 'SIGKILL' | 0): boolean {
  try {
    return process.kill(pid, what)
  } catch (error) {
    // EPERM: the remaining processes changed their user, but exist.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function livingMembers(group: number): number[] {
  return pids().filter((pid) => {
    const stat = processStat(pid)
    return stat?.group === group && isLiving(stat)
  })
}

function isLiving(stat: ProcessStat | undefined): boolean {
  return stat !== undefined && stat.state !== 'Z' && stat.state !== 'X'
}
