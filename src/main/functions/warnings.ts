import { CPU_FLOOR } from '../../host/limits.js'
import type { FunctionSettings } from '../../store/function.js'

/** Below this few programs come as far as their first line; it is kept all the same. */
const MEMORY_FLOOR_MB = 4
/** Every execution has these, whatever the function says. */
const OF_THE_AGENT = ['FLUX_EXECUTION_ID', 'FLUX_NODE_PRIVATE_IP', 'FLUX_NODE_PUBLIC_IP']

/** What is surely not meant by settings that are taken all the same, each a sentence without a full stop. */
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
