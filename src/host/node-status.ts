import { type CpuInfo, cpus } from 'node:os'
import { platform } from '../os/index.js'
import type { NodeResources } from '../os/platform.js'

/** The load of the machine, or of the cgroup that executions are limited by, with the keys of NodeStatusResponse. */
export interface NodeSample {
  /** Over all cores, or over those that a cgroup may use where more of these are busy; 0 to 100. */
  readonly cpu_percent: number
  /** Memory that is not available to new processes, 0 to 100. */
  readonly memory_percent: number
  readonly memory_total_mb: number
  readonly memory_used_mb: number
}

const MiB = 2 ** 20

/** Samples the machine in the background, so that callers never wait. Main thread only. */
export class NodeSampler {
  private readonly timer: NodeJS.Timeout
  private times: CpuTimes = { busy: 0, total: 0 }
  private groupTimes: CpuTimes | undefined
  private sample: NodeSample

  /** `cpu_percent` is the average since boot until the second sample. */
  constructor(
    intervalMs = 1000,
    private readonly resources: () => NodeResources = platform.nodeResources(),
  ) {
    this.sample = this.take()
    this.timer = setInterval(() => {
      this.sample = this.take()
    }, intervalMs).unref()
  }

  /** The latest sample, at most one interval old. */
  current(): NodeSample {
    return this.sample
  }

  close(): void {
    clearInterval(this.timer)
  }

  private take(): NodeSample {
    const times = sumTimes(cpus())
    const machinePercent = busyPercent(this.times, times)
    this.times = times
    const { totalBytes: total, availableBytes, processors } = this.resources()
    const used = total - availableBytes
    return {
      cpu_percent: Math.max(machinePercent, this.groupPercent(processors)),
      memory_percent: (used / total) * 100,
      memory_total_mb: Math.round(total / MiB),
      memory_used_mb: Math.round(used / MiB),
    }
  }

  /** 0 for the first sample: a cgroup does not say since when it is. */
  private groupPercent(processors: NodeResources['processors']): number {
    if (!processors) return 0
    const before = this.groupTimes
    this.groupTimes = { busy: processors.usedSeconds * 1000, total: performance.now() * processors.limit }
    return before ? busyPercent(before, this.groupTimes) : 0
  }
}

/** Milliseconds since some moment, over all cores. */
export interface CpuTimes {
  readonly busy: number
  readonly total: number
}

/** The busy share of the time between two readings, 0 to 100. A clock that was set back counts as idle. */
export function busyPercent(before: CpuTimes, after: CpuTimes): number {
  const total = after.total - before.total
  const busy = after.busy - before.busy
  return total > 0 ? Math.min(100, Math.max(0, (busy / total) * 100)) : 0
}

function sumTimes(cores: readonly CpuInfo[]): CpuTimes {
  let busy = 0
  let idle = 0
  for (const { times } of cores) {
    busy += times.user + times.nice + times.sys + times.irq
    idle += times.idle
  }
  return { busy, total: busy + idle }
}
