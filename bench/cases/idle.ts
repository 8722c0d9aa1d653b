import { setTimeout as sleep } from 'node:timers/promises'
import { startTestAgent } from '../../harness/agent.js'
import { freePort } from '../../harness/free-port.js'
import type { Bench } from '../bench.js'
import { withServers } from '../measure/control.js'
import { firstAnswer } from '../measure/first-answer.js'
import { memoryOf } from '../measure/memory.js'
import { agentMs } from '../measure/processor-time.js'
import { spread } from '../measure/statistics.js'
import type { Report } from '../report/report.js'

const STARTS = 7
const SETTLE_MS = 10_000
const REST_MS = 20_000

export const idle: Bench = {
  name: 'idle',
  about: 'an agent at rest: its memory, its share of a core, and how soon a fresh one answers',

  async run(report, targets) {
    if (!targets.given) await starts(report)
    const columns = ['resident', 'own', 'proportional'].map((title) => ({ title, digits: 1 }))
    const table = report.table(`at rest: MiB, and per cent of a core in ${REST_MS / 1000} s`, [
      { title: 'server', width: 20 },
      ...columns,
      { title: 'per cent', digits: 2 },
    ])
    await withServers(targets, { store: 'embedded' }, async (servers) => {
      report.progress(`at rest for ${(SETTLE_MS + REST_MS) / 1000} s`)
      await sleep(SETTLE_MS)
      const used = servers.map(({ target: { pid } }) => pid && agentMs(pid))
      const begun = performance.now()
      await sleep(REST_MS)
      for (const [i, { target }] of servers.entries()) {
        const { label, pid } = target
        if (pid === undefined) table.row(label)
        else {
          const { resident, own, proportional } = memoryOf(pid)
          const share = (agentMs(pid) - (used[i] as number)) / (performance.now() - begun)
          table.row(label, resident, own, proportional, share * 100)
        }
      }
    })
  },
}

async function starts(report: Report): Promise<void> {
  const table = report.table('milliseconds from the start of the process to the first answer of HealthCheck', [
    { title: 'starts' },
    { title: 'median' },
    { title: 'min' },
    { title: 'max' },
  ])
  const times: number[] = []
  for (let start = 1; start <= STARTS; start++) {
    report.progress(`start ${start} of ${STARTS}`)
    times.push(await measureStart())
  }
  const { median, min, max } = spread(times)
  table.row(STARTS, median, min, max)
}

async function measureStart(): Promise<number> {
  const port = await freePort()
  const begun = performance.now()
  const [agent, answered] = await Promise.all([
    startTestAgent({ config: { port } }),
    firstAnswer({ label: 'starting', host: '127.0.0.1', port }),
  ])
  await agent.stop()
  return answered - begun
}
