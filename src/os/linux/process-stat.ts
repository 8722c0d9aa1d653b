import { readFileSync } from 'node:fs'

/** What proc(5) says of a process. */
export interface ProcessStat {
  readonly state: string
  readonly group: number
  /** In clock ticks since boot. */
  readonly startTime: string
}

/** Undefined where there is no such process. */
export function processStat(pid: number | string): ProcessStat | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // "pid (comm) state ppid pgrp … starttime …", where comm may hold any character: count from its last ")".
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', group: Number(fields[2]), startTime: fields[19] ?? '' }
  } catch {
    return undefined
  }
}
