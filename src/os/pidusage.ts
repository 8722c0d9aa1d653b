import measure from 'pidusage'
import type { ProcessUse } from './platform.js'

/** What processes have used, where there is no /proc to read. Starts a program each time. */
export async function pidUsage(pids: readonly number[]): Promise<Map<number, ProcessUse>> {
  // One that has just ended is missing from the answer; where all have, it rejects.
  const found = await measure([...pids]).catch(() => ({}))
  return new Map(
    Object.values(found)
      .filter((stat) => stat)
      .map(({ pid, ctime, elapsed, memory }) => [pid, { cpuMs: ctime, ageMs: elapsed, memoryBytes: memory }]),
  )
}
