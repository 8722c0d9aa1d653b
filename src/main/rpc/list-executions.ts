import pidusage from 'pidusage'
import type { ListExecutionsResponse } from '../../generated/flux/operations/ListExecutionsResponse.js'
import type { ProcessUsage } from '../../generated/flux/operations/ProcessUsage.js'
import type { Executions } from '../executions.js'

const SAMPLE_AGE_MS = 1_000

/** Samples what processes use, all at once and at most once a second, however many ask. */
export class UsageSampler {
  private taken = -Infinity
  private sample: Promise<Map<number, ProcessUsage>> = Promise.resolve(new Map())

  usage(pids: number[]): Promise<Map<number, ProcessUsage>> {
    const now = performance.now()
    if (now - this.taken >= SAMPLE_AGE_MS) {
      this.taken = now
      this.sample = measure(pids)
    }
    return this.sample
  }
}

/** The executions that run or wait, with what each and the agent itself use. */
export async function listExecutions(executions: Executions, sampler: UsageSampler): Promise<ListExecutionsResponse> {
  const list = executions.list()
  const usage = await sampler.usage([process.pid, ...list.flatMap(({ pid }) => pid ?? [])])
  return {
    executions: list.map(({ id, functionName, queued, async, startedAt, pid }) => ({
      execution_id: id,
      function_name: functionName,
      state: queued ? 'queued' : 'running',
      async,
      started_at: startedAt.toISOString(),
      usage: pid === undefined ? null : (usage.get(pid) ?? { pid }),
    })),
    agent: usage.get(process.pid) ?? { pid: process.pid },
  }
}

async function measure(pids: number[]): Promise<Map<number, ProcessUsage>> {
  // One that has just ended is left out of the answer; where all have, pidusage rejects.
  const found = await pidusage(pids).catch(() => ({}))
  return new Map(
    Object.entries(found)
      .filter(([, stat]) => stat)
      .map(([pid, { cpu, memory }]) => [Number(pid), { pid: Number(pid), cpu_percent: cpu, memory_bytes: memory }]),
  )
}
