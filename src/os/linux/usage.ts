import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { GroupUse, ProcessUse } from '../platform.js'
import { parseStat } from './process-stat.js'

/** The unit of processor times that the kernel shows to programs, on every machine that runs Node (times(2)). */
const TICK_MS = 10

/**
 * Resource use of processes, from /proc. Does not use pidusage, which leaks a descriptor when a process ends between
 * two of its steps. Never rejects: what cannot be read is left out.
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

/** Resource use of a cgroup with those below it. Never rejects: what cannot be read is left out (cgroups(7)). */
export async function cgroupUse(dir: string): Promise<GroupUse> {
  const read = (name: string) => readFile(join(dir, name), 'latin1').catch(() => '')
  const [stat, current] = await Promise.all([read('cpu.stat'), read('memory.current')])
  const [, microseconds] = /^usage_usec (\d+)$/m.exec(stat) ?? []
  return {
    ...(microseconds && { cpuMs: Number(microseconds) / 1000 }),
    ...(current && { memoryBytes: Number(current) }),
  }
}

async function useOf(pid: number, uptimeMs: number): Promise<ProcessUse | undefined> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, 'latin1'),
    readFile(`/proc/${pid}/status`, 'latin1'),
  ])
  const { cpuTicks, startTicks } = parseStat(stat)
  const [, kibibytes] = /^VmRSS:\s+(\d+) kB$/m.exec(status) ?? []
  // A zombie has no memory.
  if (kibibytes === undefined) return undefined
  return {
    cpuMs: cpuTicks * TICK_MS,
    ageMs: uptimeMs - startTicks * TICK_MS,
    memoryBytes: Number(kibibytes) * 1024,
  }
}
