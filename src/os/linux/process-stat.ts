import { readFileSync } from 'node:fs'

/** What proc(5) says of a process, in /proc/PID/stat. */
export interface ProcessStat {
  readonly state: string
  readonly group: number
  readonly session: number
  /** User and system time, in clock ticks. */
  readonly cpuTicks: number
  /** In clock ticks since boot. */
  readonly startTicks: number
}

/** Undefined where there is no such process. */
export function processStat(pid: number | string): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return undefined
  }
}

export function parseStat(stat: string): ProcessStat {
  // "pid (comm) state ppid pgrp …", where comm may hold any character: count from its last ")". proc(5) counts the
  // fields from 1, so that the first one here is its third.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    state: fields[0] ?? '',
    group: Number(fields[2]),
    session: Number(fields[3]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    startTicks: Number(fields[19]),
  }
}
