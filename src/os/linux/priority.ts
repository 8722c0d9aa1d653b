import { writeFileSync } from 'node:fs'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { processStat } from './process-stat.js'

/** The most there is (cgroups(7)); 100 is usual. */
const CPU_WEIGHT = 10_000
const AUTOGROUP_NICE = -10
/** Functions are killed before whatever else runs on the node, when that runs out of memory (proc(5)). */
export const FUNCTION_OOM_SCORE = 500

/** See Platform.renice. */
export function renice(nice: number): void {
  try {
    setPriority(Math.max(nice, -20))
  } catch {
    // To be served before others is root's to ask for (setpriority(2)).
  }
}

/**
 * Each function begins a session, and the kernel may give every session the same share of the processor (sched(7),
 * "The autogroup feature"): then the agent, with all its threads, would get no more than any one of them. Its share is
 * raised where the session is its own.
 */
export function favourOwnSession(): void {
  if (processStat('self')?.session !== process.pid) return
  tryWrite('/proc/self/autogroup', AUTOGROUP_NICE)
}

/** The same for the agent's own cgroup beside that of all executions, where the cpu controller is there. */
export function favourCgroup(dir: string): void {
  tryWrite(join(dir, 'cpu.weight'), CPU_WEIGHT)
}

/** Has a function that is started already killed first; what it has started before keeps the agent's own score. */
export function exposeToOom(pid: number): void {
  tryWrite(`/proc/${pid}/oom_score_adj`, FUNCTION_OOM_SCORE)
}

function tryWrite(file: string, value: number): void {
  try {
    writeFileSync(file, String(value), { flag: 'r+' })
  } catch {
    // Without that file, or the right to write it, all are served alike.
  }
}
