import { readFile } from 'node:fs/promises'
import type { ProcessUse } from '../platform.js'
import { parseStat } from './process-stat.js'

/** What the kernel counts processor time in, towards programs, on every machine Node runs on (times(2)). */
const TICK_MS = 10

/**
 * What processes have used, from /proc. Not by pidusage: it never closes the descriptor of a process that ends between two
 * of its steps, so that an agent whose executions are listed while they come and go runs out of them. Never rejects: what
 * cannot be read now, as without a free descriptor, is left out.
 */
export async function procUsage(pids: readonly number[]): Promise<Map<number, ProcessUse>> {
  const found = new Map<number, ProcessUse>()
  const uptime = await readFile('/proc/uptime', 'latin1').catch(() => undefined)
  if (uptime === undefined) return found
  const uptimeMs = Number.parseFloat(uptime) * 1000
  for (const pid of pids) {
    const use = await useOf(pid, uptimeMs).catch(() => undefined)
    if (use) found.set(pid, use)
  }
  return found
}

async function useOf(pid: number, uptimeMs: number): Promise<ProcessUse | undefined> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ])
  const { cpuTicks, startTicks } = parseStat(stat)
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  // What has ended and only waits to be reaped has no memory.
  if (kibibytes === undefined) return undefined
  return {
    cpuMs: cpuTicks * TICK_MS,
    ageMs: uptimeMs - startTicks * TICK_MS,
    memoryBytes: Number(kibibytes) * 1024,
  }
}
