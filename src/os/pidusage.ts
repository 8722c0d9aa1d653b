import measure from 'pidusage'
import type { ProcessUse } from './platform.js'

/** Resource use of processes on systems without /proc. Starts a program at each call. */
export async function pidUsage(pids: readonly number[]): Promise<Map<number, ProcessUse>> {
  // A process that has just ended is missing; if all have, it rejects.
  const found = await measure([...pids]).catch(() => ({}))
  return new Map(
    Object.values(found)
      .filter((stat) => stat)
      .map(({ pid, ctime, elapsed, memory }) => [pid, { cpuMs: ctime, ageMs: elapsed, memoryBytes: memory }]),
  )
}
