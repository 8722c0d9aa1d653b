import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import type { HealthCheckResponse__Output } from '../generated/flux/HealthCheckResponse.js'
import type { NodeStatusResponse__Output } from '../generated/flux/NodeStatusResponse.js'
import type { DrainResponse__Output } from '../generated/flux/operations/DrainResponse.js'
import type { ResumeResponse__Output } from '../generated/flux/operations/ResumeResponse.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { type AgentConnection, answer } from './connection.js'
import { CommandFailure } from './failure.js'
import { writeOut } from './stdout.js'

const POLL_MS = 500

interface DrainOptions extends ConnectionOptions {
  readonly wait?: boolean
}

/** `flux-agent drain`: has an agent take no new executions. */
export function drainCommand(): Command {
  return connectionOptions(
    new Command('drain')
      .summary('take no new executions, and let those that run or wait go on')
      .description(
        'Take no new executions from now on, also after a restart, until `flux-agent resume`. Those that run or wait for a ' +
          'slot go on; deploys and registrations, too. The control plane is told that the node is full.',
      )
      .option('--wait', 'return once nothing runs and nothing waits; fails where the agent is resumed before that')
      .addHelpText(
        'after',
        '\nExample, for an hour at most:\n  timeout 3600 flux-agent drain --wait && systemctl stop flux-agent',
      )
      .action((options: DrainOptions) =>
        withAgent(options, async (connection) => {
          const { operations } = connection
          const drained = await answer<DrainResponse__Output>((call, done) => operations.Drain({}, call, done))
          if (!drained.success) throw new CommandFailure(drained.message)
          const left = await look(connection)
          await writeOut(`${drained.message}: ${left.running} executions running, ${left.waiting} waiting\n`)
          if (options.wait) await emptied(connection)
        }),
      ),
  )
}

/** `flux-agent resume`: ends a drain. */
export function resumeCommand(): Command {
  return connectionOptions(
    new Command('resume')
      .summary('take new executions again, after `drain`')
      .description('Take new executions again, after `flux-agent drain`.')
      .addHelpText('after', '\nExample:\n  flux-agent resume')
      .action(async (options: ConnectionOptions) => {
        const { success, message } = await withAgent(options, ({ operations }) =>
          answer<ResumeResponse__Output>((call, done) => operations.Resume({}, call, done)),
        )
        if (!success) throw new CommandFailure(message)
        await writeOut(`${message}\n`)
      }),
  )
}

async function emptied(connection: AgentConnection): Promise<void> {
  for (;;) {
    const { running, waiting, health } = await look(connection)
    if (health.drained_since === '') throw new CommandFailure('the agent has been resumed meanwhile')
    if (running === 0 && waiting === 0) break
    await sleep(POLL_MS)
  }
  await writeOut('nothing runs any more\n')
}

async function look({ agent }: AgentConnection) {
  const [health, { active_tasks: running, waiting_tasks: waiting }] = await Promise.all([
    answer<HealthCheckResponse__Output>((call, done) => agent.HealthCheck({}, call, done)),
    answer<NodeStatusResponse__Output>((call, done) => agent.ReportNodeStatus({}, call, done)),
  ])
  return { health, running, waiting }
}
