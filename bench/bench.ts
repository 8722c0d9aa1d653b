import type { Report } from './report/report.js'
import type { Targets } from './targets/target.js'

/** Options for benches, besides their targets. */
export interface BenchOptions {
  /** Duration of the soak; fractions are allowed. */
  readonly soakMinutes: number
  /** Parts of the bench `upstream`; empty: all. */
  readonly parts: readonly string[]
}

/** A bench measures one figure, or several together. */
export interface Bench {
  /** Its name on the command line and in results. */
  readonly name: string
  /** One line: what it measures. */
  readonly about: string
  /** Whether it measures this machine and this build, and ignores given servers. */
  readonly ofMachine?: true
  /** Throws where the measured work failed: its figures would be worthless. */
  run(report: Report, targets: Targets, options: BenchOptions): Promise<void>
}
