import { Command } from 'commander'
import { lockHolder } from '../host/lock.js'
import { runFolder } from '../host/run-folder.js'
import { platform } from '../os/index.js'
import { awaitEnd } from './await-end.js'
import { CommandFailure } from './failure.js'
import { loadNamedConfig } from './named-config.js'
import { writeOut } from './stdout.js'

/** A handover takes what sync executions take to die, and the last writes to get to the disk. */
const LIMIT_SECONDS = 30

/** `flux-agent handover`: ends the agent of this machine, whose async executions go on. */
export function handoverCommand(): Command {
  return new Command('handover')
    .summary('end the agent of this machine, but not its async executions')
    .description(
      'End the agent of this machine, and leave its async executions running for the next one, which has survive_seconds ' +
        'to come. Sync and queued executions end. Waits until the agent has ended.',
    )
    .option('--config <FILE>', 'its configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent handover --config agent.yaml')
    .action(async (options: { config?: string }) => {
      const { stateDir } = loadNamedConfig(options).config
      const pid = lockHolder(stateDir)
      if (pid === undefined) throw new CommandFailure(`no agent runs in ${stateDir}`)
      await platform.requestHandover(pid).catch((error: Error) => {
        throw new CommandFailure(`the agent, process ${pid}, cannot hand over: ${error.message}`)
      })
      await awaitEnd(pid, LIMIT_SECONDS)
      const running = await runningWithout(stateDir)
      await writeOut(`the agent, process ${pid}, has ended; ${running} executions go on\n`)
    })
}

/** How many executions run that have no agent. */
async function runningWithout(stateDir: string): Promise<number> {
  const { launchers } = await platform.keptLaunchers(runFolder(stateDir))
  await Promise.all(launchers.map((launcher) => launcher.leave()))
  return launchers.reduce((sum, { processes }) => sum + processes.length, 0)
}
