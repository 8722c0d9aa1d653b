import type { Isolation, Limits } from '../os/platform.js'
import type { FunctionSettings } from '../store/function.js'

/**
 * Fewer are a mistake, as of somebody who means cores, and not enforced: upstream has never enforced any. It is the
 * least that the kernel gives in its usual period, 1 ms in 100 ms (Documentation/scheduler/sched-bwc.rst).
 */
export const CPU_FLOOR = 10

/** What of a function's limits is enforced, where the node can. */
export function enforcedLimits({ memoryMb, cpuMillicores }: FunctionSettings): Limits {
  return { memoryMb, cpuMillicores: cpuMillicores < CPU_FLOOR ? 0 : cpuMillicores }
}

/** What happens to functions with limits that this node cannot keep. */
export interface LimitPolicy {
  /** Whether they are refused, rather than run without. */
  readonly required: boolean
  readonly unenforced: Isolation['unenforced']
}

/** Why a function cannot be taken on, for the sake of its limits; undefined where it can. */
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
    `function ${name} not registered: ${missed.key} ${missed.value} cannot be kept on this node (${missed.reason}), ` +
      `and its configuration says isolation: required; allowed: ${missed.key} 0, or isolation: best_effort`
  )
}

/** Which limits are not kept and why: a line for each reason. A limit that is switched off is not missed. */
export function unenforcedLimits({ memory, cpu, processes }: Isolation['unenforced'], maxProcesses: number): string[] {
  const byReason = new Map<string, string[]>()
  const limits = { memory_mb: memory, cpu_millicores: cpu, max_processes: maxProcesses > 0 ? processes : undefined }
  for (const [key, reason] of Object.entries(limits)) {
    if (reason) byReason.set(reason, [...(byReason.get(reason) ?? []), key])
  }
  return [...byReason].map(([reason, keys]) => `not kept on this node: ${keys.join(', ')} (${reason})`)
}
