import type { Bench } from '../bench.js'
import { StartPool } from '../measure/start-pool.js'
import { spread } from '../measure/statistics.js'

const ROUNDS = 9
const ROUND_MS = 1000
const MEMORY_MB = 64

export const limits: Bench = {
  name: 'limits',
  about: '/bin/true by the launcher, with a memory limit and without',
  ofMachine: true,

  async run(report) {
    const pool = await StartPool.open()
    try {
      const { memory } = pool.isolation.unenforced
      if (memory) {
        report.skip(`memory limits are not kept here: ${memory}`)
        return
      }
      const measure = async (memoryMb: number) => {
        const limits = { memoryMb, cpuMillicores: 0 }
        return (await pool.measure({ kind: 'launcher', durationMs: ROUND_MS, limits })).perSecond
      }
      const title = `starts per second, without a limit and with ${MEMORY_MB} MB`
      const rounds = report.table(title, [
        { title: 'round' },
        { title: 'without' },
        { title: 'with' },
        { title: 'ratio', digits: 2 },
      ])
      const ratios: number[] = []
      for (let round = 0; round <= ROUNDS; round++) {
        report.progress(round === 0 ? 'warming up' : `round ${round} of ${ROUNDS}`)
        const without = await measure(0)
        const limited = await measure(MEMORY_MB)
        // The first round warms up.
        if (round === 0) continue
        ratios.push(limited / without)
        rounds.row(round, without, limited, limited / without)
      }
      const columns = ['ratio', 'min', 'max'].map((title) => ({ title, digits: 2 }))
      const summary = spread(ratios)
      report.table('summary', columns).row(summary.median, summary.min, summary.max)
      report.ratios('starts per second', [{ label: `with ${MEMORY_MB} MB`, ...summary }], 'starts without a limit')
    } finally {
      await pool.close()
    }
  },
}
