import type { Bench } from './bench.js'
import { cancel } from './cancel.js'
import { floor } from './floor.js'
import { launch } from './launch.js'
import { limits } from './limits.js'
import { Report } from './report.js'
import { writePage } from './report-page.js'
import { RESULTS } from './results.js'
import { throughput } from './throughput.js'

// npm run bench [-- NAME…]

const BENCHES: readonly Bench[] = [floor, launch, throughput, cancel, limits]

const names = process.argv.slice(2)
const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name))
if (unknown.length > 0) {
  console.error(`no bench of the name ${unknown.join(', ')}; there are:`)
  for (const { name, about } of BENCHES) console.error(`  ${name.padEnd(8)} ${about}`)
  process.exit(2)
}

for (const bench of BENCHES) {
  if (names.length > 0 && !names.includes(bench.name)) continue
  console.log(`${bench.name}: ${bench.about}`)
  const report = new Report(RESULTS, bench.name, bench.about)
  try {
    await bench.run(report)
    console.log(`\n  all figures: ${report.write()}\n`)
  } catch (error) {
    console.error(`\n  ${bench.name} has failed: ${(error as Error).stack}\n`)
    process.exitCode = 1
  }
}

console.log(`  all results as a page: ${writePage(RESULTS)}`)
