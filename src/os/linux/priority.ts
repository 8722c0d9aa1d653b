import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { processStat } from './process-stat.js'

/** The highest weight (cgroups(7)); 100 is the default. */
const CPU_WEIGHT = 10_000
const AUTOGROUP_NICE = -10
/** Makes the kernel kill functions first when the node runs out of memory (proc(5)). */
export const FUNCTION_OOM_SCORE = 500

/** See Platform.renice. */
export function renice(nice: number): void {
  try {
    setPriority(Math.max(nice, -20))
  } catch {
    // Only root may raise priorities (setpriority(2)).
  }
}

/**
 * Each function has a session of its own, and the kernel may give every session an equal share of the processor
 * (sched(7), "The autogroup feature"): the whole agent would then get no more than one function. Raises the share of
 * the agent's session, where it leads one.
 */
export function favourOwnSession(): void {
  if (processStat('self')?.session !== process.pid) return
  tryWrite('/proc/self/autogroup', AUTOGROUP_NICE)
}

/** Raises the share of the agent's own cgroup over that of all executions, where the cpu controller is available. */
export function favourCgroup(dir: string): void {
  tryWrite(join(dir, 'cpu.weight'), CPU_WEIGHT)
}

/** Makes the kernel kill a started function first; processes that it started before keep the agent's score. */
export function exposeToOom(pid: number): void {
  tryWrite(`/proc/${pid}/oom_score_adj`, FUNCTION_OOM_SCORE)
}

function tryWrite(file: string, value: number): void {
  try {
    writeFileSync(file, String(value), { flag: 'r+' })
  } catch {
    // Without the file, or the right to write it, shares stay equal.
  }
}
