import type { State } from '../../host/agent-state.js'
import { Exposition } from '../metrics/exposition.js'
import type { Recent } from '../metrics/recent.js'
import type { Sources } from '../metrics/sources.js'
import { PAGE } from './page.js'
import { reasonOf } from './reason.js'
import { type Answer, type Routes, text } from './server.js'
import { statusOf } from './status.js'

/** What the address of the metrics answers. */
export function routesOf(sources: Sources, recent: Recent): Routes {
  const exposition = new Exposition(sources)
  const { state } = sources
  return {
    ...PAGE,
    '/status.json': () => ({ type: 'application/json', body: statusOf(sources, recent) }),
    '/metrics': async () => ({ type: exposition.contentType, body: await exposition.text() }),
    // That it answers says that the main thread is alive.
    '/healthz': () => ({
      ...text(`ok: ${state.current.kind}`),
      headers: { 'X-Agent-Id': encodeURIComponent(sources.agentId) },
    }),
    '/readyz': () => readiness(state.current),
  }
}

/** Only an agent that takes executions is ready. */
function readiness(state: State): Answer {
  if (state.kind === 'serving') return text('ready')
  const reason = reasonOf(state)
  return text(`not ready: ${state.kind}${reason === undefined ? '' : `: ${reason}`}`, 503)
}
