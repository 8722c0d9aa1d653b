import type { TestAgent } from '../../harness/agent.js'
import { linesOf } from './log-lines.js'

/** The keys of an agent that serves metrics on a free port. */
export const METRICS_ON = { metrics: { listen: '127.0.0.1:0' } }

/** Where an agent serves its metrics, as its log says; ends with a slash. */
export function metricsUrl(agent: Pick<TestAgent, 'logs'>): string {
  const line = linesOf(agent.logs()).find(({ msg }) => msg === 'metrics are served')
  if (!line) throw new Error(`it serves no metrics:\n${agent.logs()}`)
  return String(line['url'])
}

/** What an agent's metrics are: values by name and labels, as in `name{label="value"}`. */
export function scrape(agent: Pick<TestAgent, 'logs'>): Promise<Map<string, number>> {
  return scrapeAt(metricsUrl(agent))
}

/** The same by where it serves them. */
export async function scrapeAt(url: string): Promise<Map<string, number>> {
  const answer = await fetch(new URL('metrics', url))
  const lines = (await answer.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  return new Map(
    lines.map((line) => {
      const [, name = '', value = ''] = /^(.*) (\S+)$/.exec(line) ?? []
      return [name, Number(value)]
    }),
  )
}
