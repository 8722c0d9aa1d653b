import { freemem, totalmem } from 'node:os'
import { join } from 'node:path'
import type { NodeResources } from '../platform.js'
import { limitIn } from './aggregate-limits.js'
import { cgroupMounts, cgroupsFrom, currentCgroup, readOr, versionOneCgroup } from './cgroup-mounts.js'
import { findCgroupPlace } from './cgroups.js'

/** The cgroups that hold all executions. */
export interface Groups {
  /** Of version 2, from the innermost on. */
  readonly unified: readonly string[]
  /** Of version 1, whose own limits name those of the groups above. */
  readonly memory: string | undefined
  readonly cpu: string | undefined
  readonly cpuacct: string | undefined
}

/** A limit, and what is used of it. */
interface Use {
  readonly limit: number
  readonly used: number
}

export function executionsGroups(): Groups {
  const place = findCgroupPlace()
  const [mount] = cgroupMounts()
  // Executions without a cgroup of their own stay in that of the agent.
  const dir = place.kind === 'none' ? mount && currentCgroup(mount) : place.dir
  return {
    unified: dir === undefined ? [] : cgroupsFrom(dir),
    memory: versionOneCgroup('memory'),
    cpu: versionOneCgroup('cpu'),
    cpuacct: versionOneCgroup('cpuacct'),
  }
}

/** See Platform.nodeResources. */
export function nodeResources({ unified, memory, cpu, cpuacct }: Groups): () => NodeResources {
  return () => {
    const bounds = [...unified.map(memoryOf), ...(memory === undefined ? [] : [memoryOfVersionOne(memory)])].filter(
      ({ limit }) => limit < totalmem(),
    )
    const tightest = [
      ...unified.map(processorsOf),
      ...(cpu === undefined || cpuacct === undefined ? [] : [processorsOfVersionOne(cpu, cpuacct)]),
    ].reduce<Use | undefined>(
      (least, use) => (use.limit < (least?.limit ?? Number.POSITIVE_INFINITY) ? use : least),
      undefined,
    )
    const available = Math.min(freemem(), ...bounds.map(({ limit, used }) => limit - used))
    return {
      totalBytes: Math.min(totalmem(), ...bounds.map(({ limit }) => limit)),
      availableBytes: Math.max(0, available),
      ...(tightest && { processors: { limit: tightest.limit, usedSeconds: tightest.used } }),
    }
  }
}

/** The page cache that the kernel reclaims first counts as available, as in kubelet's "working set". */
function memoryOf(dir: string): Use {
  const limit = limitIn(join(dir, 'memory.max'))
  if (limit === Number.POSITIVE_INFINITY) return { limit, used: 0 }
  return { limit, used: limitIn(join(dir, 'memory.current')) - counted(dir, 'memory.stat', 'inactive_file') }
}

/** See Documentation/admin-guide/cgroup-v1/memory.rst. */
function memoryOfVersionOne(dir: string): Use {
  const limit = Math.min(
    limitIn(join(dir, 'memory.limit_in_bytes')),
    counted(dir, 'memory.stat', 'hierarchical_memory_limit') || Number.POSITIVE_INFINITY,
  )
  return {
    limit,
    used: limitIn(join(dir, 'memory.usage_in_bytes')) - counted(dir, 'memory.stat', 'total_inactive_file'),
  }
}

/** Cores, and seconds (cgroup-v2.rst, cpu.max and cpu.stat). */
function processorsOf(dir: string): Use {
  const [, quota, period] = /^(\d+) (\d+)/.exec(readOr(join(dir, 'cpu.max'), '')) ?? []
  return cores(Number(quota) / Number(period), () => counted(dir, 'cpu.stat', 'usage_usec') / 1e6)
}

/** A quota of -1 stands for none. */
function processorsOfVersionOne(cpu: string, cpuacct: string): Use {
  const limit = limitIn(join(cpu, 'cpu.cfs_quota_us')) / limitIn(join(cpu, 'cpu.cfs_period_us'))
  return cores(limit, () => limitIn(join(cpuacct, 'cpuacct.usage')) / 1e9)
}

function cores(limit: number, used: () => number): Use {
  return limit > 0 && limit < Number.POSITIVE_INFINITY
    ? { limit, used: used() }
    : { limit: Number.POSITIVE_INFINITY, used: 0 }
}

/** A number behind its word in a file; 0 where there is none. */
function counted(dir: string, file: string, word: string): number {
  const [, digits] = new RegExp(`^${word} (\\d+)$`, 'm').exec(readOr(join(dir, file), '')) ?? []
  return Number(digits ?? 0)
}
