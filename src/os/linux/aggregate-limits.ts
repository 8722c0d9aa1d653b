import { readFileSync, writeFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { AggregateLimits, CgroupController } from '../platform.js'
import { cgroupsFrom } from './cgroup-mounts.js'
import type { CgroupPlace } from './cgroup-place.js'

const MEBIBYTE = 2 ** 20
/** Pids below are given once after the boot, to what runs then (kernel/pid.c, RESERVED_PIDS). */
const LEAST_PID = 300

/** What is left for the agent and the rest of the machine: this part of it, at least so much, at most that part. */
interface Reserve {
  readonly part: number
  readonly least: number
  readonly most: number
}

const MEMORY: Reserve = { part: 0.05, least: 256, most: 0.25 }
const PROCESSES: Reserve = { part: 0.1, least: 512, most: 0.5 }

/**
 * What to set on the cgroup of all executions: what the machine has, or a cgroup that holds the agent as well may use,
 * less a reserve. Not what the unit for executions alone may use: the kernel enforces that, also when it changes.
 */
export function aggregateLimits(
  place: CgroupPlace & { readonly dir: string },
  controllers: readonly CgroupController[],
): AggregateLimits {
  const shared = cgroupsFrom(place.kind === 'unit' ? dirname(place.dir) : place.dir)
  const lowest = (file: string, machine: readonly number[]) =>
    Math.min(...machine, ...shared.map((dir) => limitIn(join(dir, file))))
  const most = [limitIn('/proc/sys/kernel/pid_max') - LEAST_PID, limitIn('/proc/sys/kernel/threads-max')]
  return {
    ...(controllers.includes('memory') && {
      memoryMb: without(MEMORY, lowest('memory.max', [totalmem()]) / MEBIBYTE),
    }),
    ...(controllers.includes('pids') && { processes: without(PROCESSES, lowest('pids.max', most)) }),
  }
}

/** What counts: the lower one of what is set, and what the cgroup at the place may use. */
export function effectiveLimits(
  { dir }: { readonly dir: string },
  { memoryMb, processes }: AggregateLimits,
): AggregateLimits {
  return {
    ...(memoryMb !== undefined && {
      memoryMb: Math.floor(Math.min(memoryMb, limitIn(join(dir, 'memory.max')) / MEBIBYTE)),
    }),
    ...(processes !== undefined && { processes: Math.min(processes, limitIn(join(dir, 'pids.max'))) }),
  }
}

/** Sets the limits of a cgroup, but not of swap: whoever gives a node swap wants it used. Throws the system's error. */
export function setAggregateLimits(dir: string, { memoryMb, processes }: AggregateLimits): void {
  if (memoryMb !== undefined) set(join(dir, 'memory.max'), memoryMb * MEBIBYTE)
  if (processes !== undefined) set(join(dir, 'pids.max'), processes)
}

function set(file: string, limit: number): void {
  // The usual flags would create a missing file, which fails with EACCES there.
  writeFileSync(file, String(limit), { flag: 'r+' })
}

function without({ part, least, most }: Reserve, limit: number): number {
  return Math.floor(limit - Math.min(Math.max(part * limit, least), most * limit))
}

/** The number at the start of a cgroup's file. Infinity where there is none: the root cgroup has no such file. */
export function limitIn(file: string): number {
  try {
    const [digits] = /^\d+/.exec(readFileSync(file, 'latin1')) ?? []
    return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
