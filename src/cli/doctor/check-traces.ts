import type { AgentConfig } from '../../config/config.js'
import { Collector } from '../../main/tracing/collector.js'
import { type Finding, ok, warn } from './finding.js'

/** Checks whether the collector takes spans: it is sent none. */
export async function checkTraces({ traces }: AgentConfig): Promise<Finding[]> {
  if (!traces) return []
  const collector = new Collector(traces)
  const taking = await collector.send('{"resourceSpans":[]}')
  collector.close()
  const { endpoint } = traces
  if (taking.kind === 'taken') return [ok('traces', `${endpoint} takes spans`)]
  const fix = 'correct traces.endpoint, or start the collector; executions do not need it'
  return [warn('traces', `${endpoint} takes no spans (${taking.cause})`, fix)]
}
