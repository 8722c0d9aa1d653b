import type { AgentConfig } from '../../config/config.js'
import { type Finding, ok, warn } from './finding.js'

const LIMIT_MS = 5_000

/** Checks whether the collector takes spans: it is sent none. */
export async function checkTraces({ tracesEndpoint: endpoint }: AgentConfig): Promise<Finding[]> {
  if (endpoint === undefined) return []
  const fix = 'correct traces.endpoint, or start the collector; executions do not need it'
  try {
    const { ok: taken, status } = await fetch(endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"resourceSpans":[]}',
      signal: AbortSignal.timeout(LIMIT_MS),
    })
    return [taken ? ok('traces', `${endpoint} takes spans`) : warn('traces', `${endpoint} answers HTTP ${status}`, fix)]
  } catch (error) {
    const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException
    return [warn('traces', `${endpoint} is not reached (${code ?? (error as Error).message})`, fix)]
  }
}
