import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from 'commander'
import { lockHolder } from '../host/lock.js'
import { platform } from '../os/index.js'
import { CommandFailure } from './failure.js'
import { loadNamedConfig } from './named-config.js'
import { writeOut } from './stdout.js'

const POLL_MS = 50
/** Time for a stop, besides the drain. */
const MARGIN_SECONDS = 30

/** `flux-agent stop`: stops the agent of this machine, and waits until it has ended. */
export function stopCommand(): Command {
  return new Command('stop')
    .summary('stop the agent of this machine')
    .description(
      'Stop the agent of this machine: running executions get drain_seconds. Waits until the agent has ended.',
    )
    .option('--config <FILE>', 'its configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent stop --config agent.yaml')
    .action(async (options: { config?: string }) => {
      const { stateDir, drainSeconds } = loadNamedConfig(options).config
      const pid = lockHolder(stateDir)
      if (pid === undefined) throw new CommandFailure(`no agent runs in ${stateDir}`)
      await platform.requestStop(pid).catch((error: Error) => {
        throw new CommandFailure(`the agent, process ${pid}, cannot be asked to stop: ${error.message}`)
      })
      const deadline = performance.now() + (drainSeconds + MARGIN_SECONDS) * 1000
      while (platform.processStartTime(pid) !== undefined) {
        if (performance.now() > deadline) throw new CommandFailure(`the agent, process ${pid}, has not stopped yet`)
        await sleep(POLL_MS)
      }
      await writeOut(`stopped the agent, process ${pid}\n`)
    })
}
