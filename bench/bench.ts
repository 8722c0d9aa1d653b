import type { Report } from './report/report.js'
import type { Targets } from './targets/target.js'

/** What may be asked of benches beside their targets. */
export interface BenchOptions {
  /** How long the soak works; fractions count. */
  readonly soakMinutes: number
}

/** One figure, or several that are measured together. */
export interface Bench {
  /** What it is asked for by, and the name of its results. */
  readonly name: string
  /** What is measured, in a line. */
  readonly about: string
  /** It measures this machine and what is built here, whatever servers are given. */
  readonly ofMachine?: true
  /** Throws where what it measures went wrong: a figure of that would be worth nothing. */
  run(report: Report, targets: Targets, options: BenchOptions): Promise<void>
}
