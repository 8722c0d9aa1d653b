import { Command } from 'commander'
import type { HealthCheckResponse__Output } from '../generated/flux/HealthCheckResponse.js'
import type { NodeStatusResponse__Output } from '../generated/flux/NodeStatusResponse.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { answer } from './connection.js'
import { formatDuration } from './format.js'
import { writeJson, writeOut } from './stdout.js'

/** Of a drained node; see reportNodeStatus. */
const REPORTED_FULL = 'reported as full, so that the control plane goes elsewhere'

interface StatusOptions extends ConnectionOptions {
  readonly json?: boolean
}

/** `flux-agent status`: shows the state of an agent and its node. */
export function statusCommand(): Command {
  return connectionOptions(
    new Command('status')
      .summary('show the state of an agent and its node')
      .description('Show the state of an agent and its node. Exit code 1 unless it takes new executions.')
      .option('--json', 'print it as JSON')
      .addHelpText('after', '\nExample:\n  flux-agent status --address 10.0.0.7:50052 --cert me.pem --key me-key.pem')
      .action(async (options: StatusOptions) => {
        const [health, node] = await withAgent(options, ({ agent }) =>
          Promise.all([
            answer<HealthCheckResponse__Output>((call, done) => agent.HealthCheck({}, call, done)),
            answer<NodeStatusResponse__Output>((call, done) => agent.ReportNodeStatus({}, call, done)),
          ]),
        )
        await (options.json ? writeJson({ ...health, ...node }) : writeOut(describe(health, node)))
        if (!health.healthy) process.exitCode = 1
      }),
  )
}

function describe(health: HealthCheckResponse__Output, node: NodeStatusResponse__Output): string {
  const limit = node.max_tasks === 0 ? 'no limit' : `of ${node.max_tasks}`
  const { drained_since: since } = health
  const state = health.healthy ? 'healthy' : health.state === 'draining' ? 'draining' : 'NOT healthy'
  const lines = {
    agent: `${node.agent_id}, version ${health.version}, ${state}`,
    ...(since && { drained: `since ${since}: takes no new executions until \`flux-agent resume\`` }),
    up: formatDuration(node.uptime_seconds * 1000),
    executions: `${node.active_tasks} (${limit})${node.waiting_tasks > 0 ? `, and ${node.waiting_tasks} wait` : ''}`,
    cpu: since ? REPORTED_FULL : `${node.cpu_percent.toFixed(1)}%`,
    memory: since
      ? REPORTED_FULL
      : `${node.memory_percent.toFixed(1)}% (${node.memory_used_mb} of ${node.memory_total_mb} MB)`,
  }
  return Object.entries(lines)
    .concat(health.problems.map((problem) => ['PROBLEM', problem]))
    .map(([name, value]) => `${`${name}:`.padEnd(12)}${value}\n`)
    .join('')
}
