import { readFileSync } from 'node:fs'
import { launchersOf } from '../../harness/launchers.js'
import { childrenOf, cpuTicks } from '../../harness/proc.js'

/** What the kernel counts processor time in, towards programs (times(2)). */
const TICK_MS = 10

/** Of a process, of its children, and of what each of them has waited for, milliseconds. */
export function processorMs(pid: number): number {
  return [pid, ...childrenOf(pid).map((child) => child.pid)].reduce((sum, each) => sum + withReapedMs(each), 0)
}

/** Of an agent with all its threads and its launchers; not of the functions. */
export function agentMs(pid: number): number {
  return [pid, ...launchersOf(pid)].reduce((sum, each) => sum + cpuTicks(each) * TICK_MS, 0)
}

/** Of a process and of the children it has waited for. */
export function withReapedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks) * TICK_MS, 0)
}
