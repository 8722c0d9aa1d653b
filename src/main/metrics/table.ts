import { OUTCOMES } from '../../threads/messages.js'
import { VERSION } from '../../version.js'
import { type FunctionCounts, NAMES_MAX, OTHERS } from './execution-counts.js'
import { type Metric, metricsOf, type Sample } from './metric.js'
import type { ServingSources, Sources } from './sources.js'

const STATES = ['starting', 'waiting', 'serving', 'draining', 'stuck', 'stopping'] as const
const FUNCTION = `its name; functions beyond the first ${NAMES_MAX} are counted together as \`${OTHERS}\``

/** Every metric of the agent, in the order in which they are shown. */
export const METRICS: readonly Metric[] = metricsOf({
  build_info: {
    type: 'gauge',
    help: 'The version of the agent; always 1.',
    labels: { version: "the agent's", node_version: 'that of Node', agent_id: 'its name at the control plane' },
    many: ({ agentId }) => [
      { labels: { version: VERSION, node_version: process.version, agent_id: agentId }, value: 1 },
    ],
  },
  start_time_seconds: {
    type: 'gauge',
    help: 'When the agent was started, in seconds since 1970.',
    one: () => Math.round(performance.timeOrigin) / 1000,
  },
  state: {
    type: 'gauge',
    help: 'Whether the agent is in this state: 1 or 0. It takes new executions in `serving` alone.',
    labels: { state: STATES.map((state) => `\`${state}\``).join(', ') },
    many: ({ state }) =>
      STATES.map((each) => ({ labels: { state: each }, value: Number(state.current.kind === each) })),
  },
  problems: {
    type: 'gauge',
    help: 'Problems that somebody has to fix; the status and the log name them.',
    one: serving(({ problems }) => problems().length),
  },
  functions: { type: 'gauge', help: 'Functions that the agent knows.', one: serving(({ functions }) => functions()) },

  executions_running: {
    type: 'gauge',
    help: 'Executions that have a slot.',
    one: serving(({ load }) => load.active),
  },
  executions_queued: {
    type: 'gauge',
    help: 'Executions that wait for a slot.',
    one: serving(({ load }) => load.waiting),
  },
  execution_slots: {
    type: 'gauge',
    help: 'Executions that may run at once (`max_tasks`); 0: no limit.',
    one: serving(({ load }) => load.maxTasks),
  },
  execution_queue_slots: {
    type: 'gauge',
    help: 'Executions that may wait for a slot (`max_queued`).',
    one: serving(({ load }) => load.maxWaiting),
  },
  executions_total: {
    type: 'counter',
    help: 'Executions that have ended.',
    labels: { function: FUNCTION, outcome: OUTCOMES.map((outcome) => `\`${outcome}\``).join(', ') },
    many: byFunction(({ outcomes }, name) =>
      OUTCOMES.flatMap((outcome, at) => {
        const value = outcomes[at] as number
        return value > 0 || outcome === 'success' || outcome === 'failed'
          ? [{ labels: { function: name, outcome }, value }]
          : []
      }),
    ),
  },
  execution_start_failures_total: {
    type: 'counter',
    help: 'Executions whose process could not be started.',
    labels: { step: 'what failed: a step of the launcher, as `exec` or `cgroup`, or the `launcher` itself' },
    many: ({ counts }) => labelled('step', counts.executions.startFailures),
  },
  executions_refused_total: {
    type: 'counter',
    help: 'Executions that were not begun.',
    labels: { reason: 'why' },
    many: ({ counts }) => labelled('reason', counts.refusals),
  },
  execution_duration_seconds: {
    type: 'histogram',
    help: 'From the start of a process to its end.',
    labels: { function: FUNCTION },
    many: byFunction(({ duration }, name) => [{ labels: { function: name }, value: duration }]),
  },
  execution_wait_seconds: {
    type: 'histogram',
    help: 'From the call to the slot; about 0 for executions that need not wait.',
    one: ({ counts }) => counts.executions.wait,
  },
  execution_start_seconds: {
    type: 'histogram',
    help: 'From the slot to the running process.',
    one: ({ counts }) => counts.executions.start,
  },
  execution_kill_seconds: {
    type: 'histogram',
    help: 'From the call that cancels, or the hang-up, to the death of all processes of the execution.',
    one: ({ counts }) => counts.executions.kill,
  },
  function_cpu_seconds_total: {
    type: 'counter',
    help: 'Processor time of executions that have ended.',
    labels: { function: FUNCTION },
    many: byFunction(({ cpuMs }, name) => [{ labels: { function: name }, value: cpuMs / 1000 }]),
  },
  output_bytes_total: {
    type: 'counter',
    help: 'Bytes that functions have printed.',
    one: ({ counts }) => counts.outputBytes,
  },
  executions_cpu_seconds_total: {
    type: 'counter',
    help: 'Processor time of all executions, also of those that run, where cgroups are in use.',
    one: async ({ executionsUse }) => inSeconds((await executionsUse())?.cpuMs),
  },
  executions_memory_bytes: {
    type: 'gauge',
    help: 'Memory of all executions that run, where cgroups are in use.',
    one: async ({ executionsUse }) => (await executionsUse())?.memoryBytes,
  },

  deploys_total: {
    type: 'counter',
    help: 'Deployments of functions.',
    labels: { outcome: '`done`, `refused`' },
    many: ({ counts }) => labelled('outcome', Object.entries(counts.deploys)),
  },
  deploy_duration_seconds: {
    type: 'histogram',
    help: 'From the whole archive to its answer, with the wait for earlier ones of the same function.',
    one: ({ counts }) => counts.deployDuration,
  },

  store_away_seconds: {
    type: 'gauge',
    help: 'For how long the store has not taken what the agent writes; 0: it does.',
    one: serving(({ storeAwayMs, queues }) => Math.max(storeAwayMs(), ...queues().map(({ awayMs }) => awayMs)) / 1000),
  },
  store_backlog_bytes: {
    type: 'gauge',
    help: 'What waits for the store.',
    labels: { place: '`memory`, `disk`' },
    many: ({ serving: now }) => {
      const sum = (of: 'memoryBytes' | 'diskBytes') => (now?.queues() ?? []).reduce((all, queue) => all + queue[of], 0)
      return now
        ? [
            { labels: { place: 'memory' }, value: sum('memoryBytes') },
            { labels: { place: 'disk' }, value: sum('diskBytes') },
          ]
        : []
    },
  },
  store_backlog_limit_bytes: {
    type: 'gauge',
    help: 'What may wait for the store before async executions are refused (`store_backlog_bytes`).',
    one: serving(({ backlogBytes }) => backlogBytes()),
  },
  store_writes_total: {
    type: 'counter',
    help: 'Writes that the store has taken: begins, parts of output, ends.',
    one: ({ counts }) => counts.storeWrites,
  },
  store_write_duration_seconds: {
    type: 'histogram',
    help: 'How long the store takes for one batch of writes.',
    one: ({ counts }) => counts.storeBatch,
  },

  workers: { type: 'gauge', help: 'Worker threads that are ready.', one: serving(({ workers }) => workers()) },
  worker_deaths_total: {
    type: 'counter',
    help: 'Worker threads that have died and were replaced.',
    one: ({ counts }) => counts.workerDeaths,
  },
  launcher_restarts_total: {
    type: 'counter',
    help: 'Launchers that have replaced a dead one.',
    one: ({ counts }) => counts.launcherRestarts,
  },
  cpu_seconds_total: {
    type: 'counter',
    help: 'Processor time of the agent itself, without its launchers and executions.',
    labels: { mode: '`user`, `system`' },
    many: () => Object.entries(process.cpuUsage()).map(([mode, us]) => ({ labels: { mode }, value: us / 1e6 })),
  },
  resident_memory_bytes: {
    type: 'gauge',
    help: 'Memory of the agent itself, without its launchers and executions.',
    one: () => process.memoryUsage.rss(),
  },
  event_loop_delay_seconds: {
    type: 'histogram',
    help: "How late the main thread's timers are, looked at five times a second.",
    one: ({ counts }) => counts.delay,
  },
  traces_dropped_total: {
    type: 'counter',
    help: 'Executions whose spans no collector has taken, where `traces.endpoint` is given.',
    one: serving(({ tracesDropped }) => tracesDropped()),
  },

  callers_refused_total: {
    type: 'counter',
    help: 'Calls by somebody who may not call, and TLS handshakes that have failed.',
    one: ({ counts }) => counts.refusedCallers,
  },
  certificate_expiry_timestamp_seconds: {
    type: 'gauge',
    help: 'When a certificate ends, in seconds since 1970; of a chain the first to end.',
    labels: { certificate: '`agent`: that of `tls.cert_file`; `ca`: that of `tls.ca_cert`' },
    many: ({ certificates }) => {
      const found = certificates()
      return found
        ? [
            { labels: { certificate: 'agent' }, value: found.certificate / 1000 },
            { labels: { certificate: 'ca' }, value: found.authority / 1000 },
          ]
        : []
    },
  },
})

function serving(read: (now: ServingSources) => number | undefined) {
  return ({ serving: now }: Sources) => now && read(now)
}

function byFunction(read: (counts: FunctionCounts, name: string) => readonly Sample[]) {
  return ({ counts }: Sources) => [...counts.executions.byFunction].flatMap(([name, each]) => read(each, name))
}

function labelled(label: string, values: Iterable<readonly [string, number]>): Sample[] {
  return [...values].map(([name, value]) => ({ labels: { [label]: name }, value }))
}

function inSeconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000
}
