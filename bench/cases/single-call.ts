import { randomUUID } from 'node:crypto'
import type { Server } from '../measure/control.js'
import { runLoad } from '../measure/load.js'
import { HEALTH_CHECK, type LoadRequest, numberedExecutions } from '../measure/requests.js'
import { spread } from '../measure/statistics.js'
import { reportPairs } from '../report/pairs.js'
import type { Report } from '../report/report.js'
import { measureStart } from './floor.js'

const ROUNDS = 7
const ROUND_MS = 1000

/** Latency of a sync execution of `/bin/true`, compared with its start and its call alone. */
export async function measureSingleCalls(
  report: Report,
  servers: readonly Server[],
  functionName: string,
): Promise<void> {
  const table = report.table('one at a time: medians of the same round, milliseconds', [
    { title: 'round' },
    { title: 'server', width: 20 },
    ...['bare posix_spawn', 'empty gRPC call', 'sum', 'execution'].map((title) => ({ title, digits: 3 })),
    { title: 'ratio', digits: 2 },
  ])
  const ratios = servers.map((): number[] => [])
  const latencies = servers.map((): number[] => [])
  for (let round = 1; round <= ROUNDS; round++) {
    const start = await measureStart(ROUND_MS)
    for (const [i, server] of servers.entries()) {
      const empty = await medianMs(server, HEALTH_CHECK)
      const call = numberedExecutions({ function_name: functionName }, `bench-${randomUUID()}-`)
      const execution = await medianMs(server, call, 0)
      const sum = start + empty
      table.row(round, server.target.label, start, empty, sum, execution, execution / sum)
      ratios[i]?.push(execution / sum)
      latencies[i]?.push(execution)
    }
  }
  const columns = ['median', 'min', 'max'].map((title) => ({ title, digits: 2 }))
  const summary = report.table('an execution beside bare posix_spawn + one empty gRPC call: ratio', [
    { title: 'server', width: 20 },
    ...columns,
  ])
  servers.forEach(({ target }, i) => {
    const { median, min, max } = spread(ratios[i] as number[])
    summary.row(target.label, median, min, max)
  })
  const labels = servers.map(({ target }) => target.label)
  reportPairs(report, 'one at a time', labels, [{ name: 'p50', values: latencies }])
}

async function medianMs({ target }: Server, request: LoadRequest, outputBytes?: number): Promise<number> {
  const pace = { kind: 'closed', inFlight: 1, durationMs: ROUND_MS } as const
  const load = runLoad({ ...request, target, ...(outputBytes !== undefined && { outputBytes }), pace })
  return (await load.result).latencies.getValueAtPercentile(50) / 1000
}
