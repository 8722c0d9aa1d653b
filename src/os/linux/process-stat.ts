import { readFileSync } from 'node:fs'

/** Fields of /proc/PID/stat (proc(5)). */
export interface ProcessStat {
  readonly state: string
  readonly group: number
  readonly session: number
  /** User and system time, clock ticks. */
  readonly cpuTicks: number
  /** Clock ticks since boot. */
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
  // "pid (comm) state ppid pgrp …", where comm may contain any character: fields are counted from its last ")". The
  // first one here is the third of proc(5).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return {
    state: fields[0] ?? '',
    group: Number(fields[2]),
    session: Number(fields[3]),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    startTicks: Number(fields[19]),
  }
}
