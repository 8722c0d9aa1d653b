import { Command } from 'commander'
import { lockHolder } from '../host/lock.js'
import { runFolder } from '../host/run-folder.js'
import { platform } from '../os/index.js'
import { awaitEnd } from './await-end.js'
import { CommandFailure } from './failure.js'
import { loadNamedConfig } from './named-config.js'
import { writeOut } from './stdout.js'

/** Time for a stop, besides the drain. */
const MARGIN_SECONDS = 30

/** `flux-agent stop`: stops the agent of this machine, and waits until it has ended. */
export function stopCommand(): Command {
  return new Command('stop')
    .summary('stop the agent of this machine')
    .description(
      'Stop the agent of this machine: running executions get drain_seconds. Waits until the agent has ended. Where it is ' +
        'dead, ends the executions that it has left.',
    )
    .option('--config <FILE>', 'its configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent stop --config agent.yaml')
    .action(async (options: { config?: string }) => {
      const { stateDir, drainSeconds } = loadNamedConfig(options).config
      const pid = lockHolder(stateDir)
      if (pid === undefined) {
        await endLeft(stateDir)
        return
      }
      await platform.requestStop(pid).catch((error: Error) => {
        throw new CommandFailure(`the agent, process ${pid}, cannot be asked to stop: ${error.message}`)
      })
      await awaitEnd(pid, drainSeconds + MARGIN_SECONDS)
      await writeOut(`stopped the agent, process ${pid}\n`)
    })
}

/** Ends what launchers still run for an agent that has died. */
async function endLeft(stateDir: string): Promise<void> {
  const { launchers, problems } = await platform.keptLaunchers(runFolder(stateDir))
  if (launchers.length === 0 && problems.length === 0) throw new CommandFailure(`no agent runs in ${stateDir}`)
  const executions = launchers.reduce((sum, { processes }) => sum + processes.length, 0)
  await Promise.all(launchers.map((launcher) => launcher.end()))
  await writeOut(`no agent runs in ${stateDir}; ended the executions that the last one left: ${executions}\n`)
}
