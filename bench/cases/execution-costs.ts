import type { Server } from '../measure/control.js'
import { agentMs, processorMs } from '../measure/processor-time.js'
import type { Throughput } from './in-flight-rounds.js'

/** What executions of one round took. */
export interface ExecutionCost {
  readonly perSecond: number
  /** Milliseconds. */
  readonly p50: number
  readonly p99: number
  /** Processor time of the agent and its launchers for one, milliseconds. */
  readonly agentCpuMs: number
  /** The same with the functions. */
  readonly allCpuMs: number
}

/** The server's pid must be known. */
export async function measureCost({ target }: Server, run: () => Promise<Throughput>): Promise<ExecutionCost> {
  const pid = target.pid as number
  const before = { agent: agentMs(pid), all: processorMs(pid) }
  const { executions, seconds, latencies } = await run()
  return {
    perSecond: executions / seconds,
    p50: latencies.getValueAtPercentile(50) / 1000,
    p99: latencies.getValueAtPercentile(99) / 1000,
    agentCpuMs: (agentMs(pid) - before.agent) / executions,
    allCpuMs: (processorMs(pid) - before.all) / executions,
  }
}

/** Measures all servers in turns; answers their costs by server, and then by round. */
export async function costsInTurns(
  servers: readonly Server[],
  rounds: number,
  begin: (round: number) => void | Promise<void>,
  run: (server: Server) => Promise<Throughput>,
): Promise<ExecutionCost[][]> {
  const costs = servers.map((): ExecutionCost[] => [])
  for (let round = 1; round <= rounds; round++) {
    await begin(round)
    for (const [i, server] of servers.entries()) costs[i]?.push(await measureCost(server, () => run(server)))
  }
  return costs
}
