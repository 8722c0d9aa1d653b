import type { ExecutionCost } from '../cases/execution-costs.js'
import { median, spread } from '../measure/statistics.js'
import type { Compared } from './pairs.js'
import type { Report, Table } from './report.js'
import type { Ratio } from './results.js'

/** One table of everything that two servers were measured at: upstream's agent, and then this one. */
export class Beside {
  private readonly table: Table
  private readonly rates: Ratio[] = []

  constructor(private readonly report: Report) {
    this.table = report.table('medians of the rounds, and the ratio of flux-agent to upstream in the same round', [
      { title: 'what', width: 38 },
      { title: 'figure', width: 22 },
      ...['upstream', 'flux-agent', 'ratio', 'min', 'max'].map((title) => ({ title, digits: 3 })),
    ])
  }

  add(what: string, compared: readonly Compared[]): void {
    for (const { name, values } of compared) {
      const [theirs = [], ours = []] = values
      const { median: middle, min, max } = spread(ratios(theirs, ours))
      this.table.row(what, name, median(theirs), median(ours), middle, min, max)
    }
  }

  /** `costs`: by server, and then by round. `floors`: the machine's starts per second, by round. */
  addCosts(what: string, costs: readonly (readonly ExecutionCost[])[], floors: readonly number[] = []): void {
    const values = (of: (cost: ExecutionCost, round: number) => number) => costs.map((rounds) => rounds.map(of))
    const rates = values(({ perSecond }) => perSecond)
    this.add(what, [
      { name: 'rate, per second', values: rates },
      ...(floors.length > 0
        ? [{ name: 'rate, share of floor', values: values((cost, i) => cost.perSecond / (floors[i] as number)) }]
        : []),
      { name: 'p50, ms', values: values(({ p50 }) => p50) },
      { name: 'p99, ms', values: values(({ p99 }) => p99) },
      { name: 'agent CPU, ms each', values: values(({ agentCpuMs }) => agentCpuMs) },
      { name: 'with functions, ms each', values: values(({ allCpuMs }) => allCpuMs) },
    ])
    const [theirs = [], ours = []] = rates
    this.rates.push({ label: what, ...spread(ratios(theirs, ours)) })
  }

  /** Call once, at the end. */
  finish(): void {
    if (this.rates.length > 0) this.report.ratios('executions per second', this.rates, "upstream's rate")
  }
}

/** By round; processor time is counted in hundredths of a second, and may have been none. */
function ratios(theirs: readonly number[], ours: readonly number[]): number[] {
  const all = ours.map((value, round) => value / (theirs[round] as number)).filter(Number.isFinite)
  return all.length > 0 ? all : [0]
}
