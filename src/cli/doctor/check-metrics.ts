import { get } from 'node:http'
import type { AgentConfig } from '../../config/config.js'
import { type Endpoint, endpointText } from '../../config/endpoint.js'
import { listenProblem, openListener } from '../../host/listener.js'
import { type Finding, fail, ok } from './finding.js'

const LIMIT_MS = 3_000

/** Checks whether metrics can be served, or already are. */
export async function checkMetrics({ metrics: endpoint, agentId }: AgentConfig): Promise<Finding[]> {
  if (!endpoint) return [ok('metrics', 'none: metrics.listen is not given')]
  const where = endpointText(endpoint)
  try {
    const listener = await openListener(endpoint)
    listener.close()
    return [ok('metrics', endpoint.port === 0 ? `any free port of ${endpoint.host}` : `${where} is free`)]
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EADDRINUSE' && (await isServedBy(agentId, endpoint)))
      return [ok('metrics', `this agent serves them on http://${where}/`)]
    const { message, fix } = listenProblem(endpoint, error as NodeJS.ErrnoException)
    return [fail('metrics', `metrics.listen: ${where}: ${message}`, fix)]
  }
}

/** Whether the agent of this name answers there. */
function isServedBy(agentId: string, { host, port }: Endpoint): Promise<boolean> {
  const own = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return new Promise((resolve) => {
    // Not by fetch: its promise may stay open, and not keep this process alive, where the other side hangs up at once.
    const asked = get({ host: own, port, path: '/healthz', timeout: LIMIT_MS, agent: false }, (answer) => {
      resolve(answer.headers['x-agent-id'] === encodeURIComponent(agentId))
      answer.destroy()
    })
    asked.on('error', () => resolve(false))
    asked.on('timeout', () => asked.destroy())
  })
}
