import { readFileSync } from 'node:fs'
import { launchersOf } from '../../harness/launchers.js'
import { ownMemoryMiB } from '../../harness/proc.js'
import type { Target } from '../targets/target.js'

const SAMPLE_MS = 50

/** Memory of an agent with its launchers, MiB. */
export interface Memory {
  /** Resident, shared pages counted in full. */
  readonly resident: number
  /** Without pages of files, such as the embedded store's. */
  readonly own: number
  /** Shared pages counted by share. */
  readonly proportional: number
}

export interface MemoryPeak {
  /** Private memory before the work, and its peak during it, MiB. */
  readonly before: number
  readonly peak: number
}

export function memoryOf(pid: number): Memory {
  const sums = { resident: 0, own: 0, proportional: 0 }
  for (const each of agentProcesses(pid)) {
    const rollup = readFileSync(`/proc/${each}/smaps_rollup`, 'utf8')
    sums.resident += mebibytes(rollup, 'Rss')
    sums.proportional += mebibytes(rollup, 'Pss')
    sums.own += ownMemoryMiB(each)
  }
  return sums
}

/** Samples the agent's private memory until stopped; answers nothing where the pid is unknown. */
export function watchMemory({ pid }: Target): { stop(): MemoryPeak | undefined } {
  if (pid === undefined) return { stop: () => undefined }
  // Looked up once: among thousands of processes a search costs more than the measured work.
  const processes = agentProcesses(pid)
  const look = () => processes.reduce((sum, each) => sum + ownMemoryMiB(each), 0)
  const before = look()
  let peak = before
  const sample = () => {
    peak = Math.max(peak, look())
  }
  const timer = setInterval(sample, SAMPLE_MS)
  return {
    stop: () => {
      clearInterval(timer)
      sample()
      return { before, peak }
    },
  }
}

/** An agent's processes: itself and its launchers. */
export function agentProcesses(pid: number): number[] {
  return [pid, ...launchersOf(pid)]
}

function mebibytes(rollup: string, field: string): number {
  const [, kibibytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(rollup) ?? []
  return Number(kibibytes) / 1024
}
