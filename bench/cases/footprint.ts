import { readdirSync } from 'node:fs'
import { openDescriptors } from '../../harness/proc.js'
import { agentProcesses, type Memory, memoryOf } from '../measure/memory.js'

/** Memory of an agent with its launchers. */
export interface Footprint extends Memory {
  readonly descriptors: number
  readonly threads: number
}

export function footprintOf(pid: number): Footprint {
  const processes = agentProcesses(pid)
  const count = (of: (pid: number) => readonly string[]) => processes.reduce((sum, each) => sum + of(each).length, 0)
  return {
    ...memoryOf(pid),
    descriptors: count(openDescriptors),
    threads: count((each) => readdirSync(`/proc/${each}/task`)),
  }
}
