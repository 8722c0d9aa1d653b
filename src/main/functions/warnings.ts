import { CPU_FLOOR } from '../../host/limits.js'
import type { FunctionSettings } from '../../store/function.js'

/** Hardly any program starts with less memory; the limit is enforced nevertheless. */
const MEMORY_FLOOR_MB = 4
/** The agent sets these for every execution. */
const OF_THE_AGENT = ['FLUX_EXECUTION_ID', 'FLUX_NODE_PRIVATE_IP', 'FLUX_NODE_PUBLIC_IP']

/** Likely mistakes in settings that are accepted, each a sentence without a full stop. */
export function functionWarnings({ cpuMillicores, memoryMb, env }: FunctionSettings): string[] {
  const warnings: string[] = []
  if (cpuMillicores > 0 && cpuMillicores < CPU_FLOOR) {
    warnings.push(
      `cpu_millicores ${cpuMillicores} is not enforced, as no program runs with so little: 1000 is one core, ` +
        `${CPU_FLOOR} the least that is enforced, 0 no limit`,
    )
  }
  if (memoryMb > 0 && memoryMb < MEMORY_FLOOR_MB) {
    warnings.push(`memory_mb ${memoryMb} is enforced, and hardly any program runs with so little: 1024 is one GiB`)
  }
  for (const name of OF_THE_AGENT) {
    if (name in env) warnings.push(`env ${name} is not used: the agent sets it for each execution`)
  }
  return warnings
}
