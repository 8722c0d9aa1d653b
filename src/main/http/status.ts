import { OUTCOMES } from '../../threads/messages.js'
import { VERSION } from '../../version.js'
import { EVERY_MS, type Recent } from '../metrics/recent.js'
import type { Sources } from '../metrics/sources.js'
import { reasonOf } from './reason.js'

/** Executions that are listed, the oldest. */
const LISTED = 50
/** Functions that are listed, those with the most executions. */
const FUNCTIONS_LISTED = 20

/** What the page shows, as JSON. Nothing in it is escaped: names and errors come from strangers. */
export function statusOf(sources: Sources, recent: Recent): string {
  const { agentId, state, counts, certificates, serving } = sources
  const now = state.current
  const executions = serving?.executions() ?? []
  const queues = serving?.queues() ?? []
  const sum = (of: 'memoryBytes' | 'diskBytes') => queues.reduce((all, queue) => all + queue[of], 0)
  return JSON.stringify({
    agent: {
      id: agentId,
      version: VERSION,
      node: process.version,
      state: now.kind,
      cause: reasonOf(now),
      started_at: new Date(performance.timeOrigin).toISOString(),
      memory_bytes: process.memoryUsage.rss(),
    },
    problems: serving?.problems() ?? [],
    load: serving && {
      running: serving.load.active,
      waiting: serving.load.waiting,
      slots: serving.load.maxTasks,
      queue_slots: serving.load.maxWaiting,
    },
    executions: executions.slice(0, LISTED).map(({ id, functionName, isQueued, async, startedAt }) => ({
      id,
      function: functionName,
      state: isQueued ? 'waits' : 'runs',
      async,
      started_at: startedAt.toISOString(),
    })),
    executions_more: Math.max(0, executions.length - LISTED),
    functions: functionsOf(sources),
    failures: counts.executions.failures.list(),
    refused: Object.fromEntries([...counts.refusals].filter(([, times]) => times > 0)),
    recent: { every_ms: EVERY_MS, moments: recent.list() },
    store: serving && {
      address: serving.storeAddress,
      away_ms: Math.max(serving.storeAwayMs(), ...queues.map(({ awayMs }) => awayMs)),
      memory_bytes: sum('memoryBytes'),
      disk_bytes: sum('diskBytes'),
      limit_bytes: serving.backlogBytes(),
    },
    certificates: certificates(),
    facts: serving?.facts(),
  })
}

function functionsOf({ counts }: Sources) {
  const all = [...counts.executions.byFunction].map(([name, { outcomes, duration }]) => {
    const ended = outcomes.reduce((sum, count) => sum + count, 0)
    const succeeded = outcomes[OUTCOMES.indexOf('success')] as number
    return { name, ended, succeeded, mean_seconds: duration.count > 0 ? duration.sum / duration.count : undefined }
  })
  return all.sort((one, other) => other.ended - one.ended).slice(0, FUNCTIONS_LISTED)
}
