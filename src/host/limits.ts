import type { AggregateLimits, Isolation, Limits } from '../os/platform.js'
import type { FunctionSettings } from '../store/function.js'

/**
 * Fewer millicores are a mistake, as of somebody who means cores, and are not enforced: upstream never enforced any.
 * This is the least that the kernel grants in its default period, 1 ms in 100 ms
 * (Documentation/scheduler/sched-bwc.rst).
 */
export const CPU_FLOOR = 10

/** The part of a function's limits that is enforced, where the node can. */
export function enforcedLimits({ memoryMb, cpuMillicores }: FunctionSettings): Limits {
  return { memoryMb, cpuMillicores: cpuMillicores < CPU_FLOOR ? 0 : cpuMillicores }
}

/** The policy for limits that this node cannot enforce. */
export interface LimitPolicy {
  /** Whether functions with such limits are refused, rather than run without them. */
  readonly required: boolean
  readonly unenforced: Isolation['unenforced']
}

/** Why a function is refused because of its limits; undefined where it is not. */
export function limitProblem({ required, unenforced }: LimitPolicy, settings: FunctionSettings): string | undefined {
  if (!required) return undefined
  const { name, memoryMb, cpuMillicores } = settings
  const asked = [
    { key: 'memory_mb', value: memoryMb, reason: unenforced.memory },
    { key: 'cpu_millicores', value: cpuMillicores, reason: unenforced.cpu },
  ]
  const missed = asked.find(({ value, reason }) => value > 0 && reason !== undefined)
  return (
    missed &&
    `function ${name} not registered: ${missed.key} ${missed.value} cannot be enforced on this node (${missed.reason}), ` +
      `and its configuration says isolation: required; allowed: ${missed.key} 0, or isolation: best_effort`
  )
}

/** What all executions together may use, in words; undefined where they may use all. */
export function aggregateText({ memoryMb, processes }: AggregateLimits): string | undefined {
  const most = [
    ...(memoryMb === undefined ? [] : [`${memoryMb} MB of memory`]),
    ...(processes === undefined ? [] : [`${processes} processes and threads`]),
  ]
  return most.length > 0 ? `all executions together get at most ${most.join(' and ')}` : undefined
}

/** The limits that are not enforced, a line for each reason. Limits that are switched off are left out. */
export function unenforcedLimits({ memory, cpu, processes }: Isolation['unenforced'], maxProcesses: number): string[] {
  const byReason = new Map<string, string[]>()
  const limits = { memory_mb: memory, cpu_millicores: cpu, max_processes: maxProcesses > 0 ? processes : undefined }
  for (const [key, reason] of Object.entries(limits)) {
    if (reason) byReason.set(reason, [...(byReason.get(reason) ?? []), key])
  }
  return [...byReason].map(([reason, keys]) => `not enforced on this node: ${keys.join(', ')} (${reason})`)
}
