import { Command } from 'commander'
import { VERSION } from '../version.js'
import { cancelCommand } from './cancel.js'
import { checkConfigCommand } from './check-config.js'
import { deployCommand } from './deploy/deploy.js'
import { doctorCommand } from './doctor/doctor.js'
import { drainCommand, resumeCommand } from './drain.js'
import { execCommand } from './exec.js'
import { handoverCommand } from './handover.js'
import { logsCommand } from './logs.js'
import { psCommand } from './ps.js'
import { statusCommand } from './status.js'
import { stopCommand } from './stop.js'

/** The `flux-agent` command with all subcommands. The man page and shell completion are made from it. */
export function createProgram(): Command {
  return new Command('flux-agent')
    .description('Runs functions as native processes on this node, and speaks to agents that do.')
    .version(VERSION)
    .enablePositionalOptions()
    .addCommand(startCommand())
    .addCommand(stopCommand())
    .addCommand(handoverCommand())
    .addCommand(drainCommand())
    .addCommand(resumeCommand())
    .addCommand(deployCommand())
    .addCommand(execCommand())
    .addCommand(logsCommand())
    .addCommand(cancelCommand())
    .addCommand(psCommand())
    .addCommand(statusCommand())
    .addCommand(checkConfigCommand())
    .addCommand(doctorCommand())
    .addHelpText(
      'after',
      `
Try it:
  flux-agent start &
  flux-agent deploy hello ./examples/hello
  flux-agent exec hello world`,
    )
}

function startCommand(): Command {
  return new Command('start')
    .summary('run the agent')
    .description(
      'Run the agent in the foreground until SIGTERM or Ctrl-C. On SIGHUP it reads its configuration again. Variables ' +
        'named FLUX_AGENT_KEY have priority over the file.',
    )
    .option('--config <FILE>', 'configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent start --config /etc/flux-agent/agent.yaml')
    .action(async (options: { config?: string }) => {
      // Loaded here only, since the agent's dependencies take long to load.
      const { start } = await import('./start.js')
      await start(options)
    })
}
