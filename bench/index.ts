import { readArguments } from './arguments.js'
import type { Bench } from './bench.js'
import { cancel } from './cases/cancel.js'
import { deploy } from './cases/deploy.js'
import { floor } from './cases/floor.js'
import { functions } from './cases/functions.js'
import { idle } from './cases/idle.js'
import { interpreters } from './cases/interpreters.js'
import { launch } from './cases/launch.js'
import { limits } from './cases/limits.js'
import { many } from './cases/many.js'
import { metrics } from './cases/metrics.js'
import { output } from './cases/output.js'
import { soak } from './cases/soak.js'
import { throughput } from './cases/throughput.js'
import { upstream } from './cases/upstream.js'
import { writePage } from './report/page.js'
import { Report } from './report/report.js'
import { RESULTS } from './report/results.js'
import { targetsOf } from './targets/own-targets.js'
import { Upstream } from './targets/upstream.js'

const BENCHES: readonly Bench[] = [
  floor,
  launch,
  throughput,
  cancel,
  limits,
  output,
  many,
  deploy,
  functions,
  interpreters,
  soak,
  idle,
  metrics,
  upstream,
]

const { names, given, options, upstream: source } = readArguments(BENCHES)
const beside = source === undefined ? undefined : Upstream.build(source)

for (const bench of BENCHES) {
  if (names.length > 0 && !names.includes(bench.name)) continue
  if (names.length === 0 && given.length > 0 && bench.ofMachine) {
    console.log(`${bench.name}: left out, it measures this machine and no server; it is run where it is named\n`)
    continue
  }
  console.log(`${bench.name}: ${bench.about}`)
  const report = new Report(RESULTS, bench.name, bench.about)
  try {
    await bench.run(report, targetsOf(given, beside), options)
    console.log(`\n  all figures: ${report.write()}\n`)
  } catch (error) {
    console.error(`\n  ${bench.name} has failed: ${(error as Error).stack}\n`)
    process.exitCode = 1
  }
}

try {
  console.log(`  all results as a page: ${writePage(RESULTS)}`)
} catch (error) {
  console.error(`  no page: ${(error as Error).message}`)
  process.exitCode = 1
}
