import type { ListExecutionsResponse } from '../../generated/flux/operations/ListExecutionsResponse.js'
import type { ProcessUsage } from '../../generated/flux/operations/ProcessUsage.js'
import { platform } from '../../os/index.js'
import type { ProcessUse } from '../../os/platform.js'
import type { Executions } from '../executions/executions.js'

const SAMPLE_AGE_MS = 1_000

/** What each process has used by the time of the sample, and its load since the sample before. */
type Sample = ReadonlyMap<number, { readonly use: ProcessUse; readonly usage: ProcessUsage }>

/** Samples processes, all at once and at most once a second, for any number of callers. */
export class UsageSampler {
  private taken = -Infinity
  private latest: Promise<Sample> = Promise.resolve(new Map())

  sample(pids: number[]): Promise<Sample> {
    const now = performance.now()
    if (now - this.taken >= SAMPLE_AGE_MS) {
      this.taken = now
      this.latest = this.latest.then((before) => measure(pids, before))
    }
    return this.latest
  }
}

/** Executions that run or wait, with the resources that each of them and the agent use. */
export async function listExecutions(executions: Executions, sampler: UsageSampler): Promise<ListExecutionsResponse> {
  const list = executions.list()
  const sample = await sampler.sample([process.pid, ...list.flatMap(({ pid }) => pid ?? [])])
  return {
    executions: list.map(({ id, functionName, isQueued, async, startedAt, pid }) => ({
      execution_id: id,
      function_name: functionName,
      state: isQueued ? 'queued' : 'running',
      async,
      started_at: startedAt.toISOString(),
      usage: pid === undefined ? null : (sample.get(pid)?.usage ?? { pid }),
    })),
    agent: sample.get(process.pid)?.usage ?? { pid: process.pid },
  }
}

async function measure(pids: number[], before: Sample): Promise<Sample> {
  const found = await platform.usage(pids)
  return new Map(
    [...found].map(([pid, use]) => {
      const cpu_percent = cpuPercent(before.get(pid)?.use, use)
      return [pid, { use, usage: { pid, cpu_percent, memory_bytes: use.memoryBytes } }]
    }),
  )
}

/** Load since the sample before; since its start for a process that was not in it, or that reuses a pid. */
function cpuPercent(before: ProcessUse | undefined, now: ProcessUse): number {
  const { cpuMs, ageMs } = before && before.ageMs < now.ageMs ? before : { cpuMs: 0, ageMs: 0 }
  return now.ageMs > ageMs ? Math.max(0, ((now.cpuMs - cpuMs) / (now.ageMs - ageMs)) * 100) : 0
}
