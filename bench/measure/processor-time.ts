import { readFileSync } from 'node:fs'
import { launchersOf } from '../../harness/launchers.js'
import { childrenOf, cpuTicks } from '../../harness/proc.js'

/** The unit of processor times that the kernel shows to programs (times(2)). */
const TICK_MS = 10

/** Processor time of a process, and of what it and its children waited for, milliseconds. */
export function processorMs(pid: number): number {
  return [pid, ...childrenOf(pid).map((child) => child.pid)].reduce((sum, each) => sum + withReapedMs(each), 0)
}

/** Processor time of an agent with its threads and launchers, without functions. */
export function agentMs(pid: number): number {
  return [pid, ...launchersOf(pid)].reduce((sum, each) => sum + cpuTicks(each) * TICK_MS, 0)
}

/** Processor time of a process and of the children it waited for. */
export function withReapedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0)
}
