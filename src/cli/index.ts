#!/usr/bin/env node
import { Command } from 'commander'
import { isJournal, journalEntries } from '../journal.js'
import { VERSION } from '../version.js'
import { cancelCommand } from './cancel.js'
import { deployCommand } from './deploy.js'
import { doctorCommand } from './doctor.js'
import { execCommand } from './exec.js'
import { CommandFailure } from './failure.js'
import { logsCommand } from './logs.js'
import { psCommand } from './ps.js'
import { statusCommand } from './status.js'
import { endQuietlyWithReader } from './stdout.js'

function startCommand(): Command {
  return new Command('start')
    .summary('run the agent')
    .description('Run the agent in the foreground until SIGTERM or Ctrl-C.')
    .option('--config <FILE>', 'configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent start --config /etc/flux-agent/agent.yaml')
    .action(async (options: { config?: string }) => {
      // The agent brings its store, its pools and its log along: no other command should wait for those to load.
      const { start } = await import('./start.js')
      await start(options)
    })
}

const program = new Command('flux-agent')
  .description('Runs functions as native processes on this node, and speaks to agents that do.')
  .version(VERSION)
  .enablePositionalOptions()
  .addCommand(startCommand())
  .addCommand(deployCommand())
  .addCommand(execCommand())
  .addCommand(logsCommand())
  .addCommand(cancelCommand())
  .addCommand(psCommand())
  .addCommand(statusCommand())
  .addCommand(doctorCommand())
  .addHelpText(
    'after',
    `
Try it:
  flux-agent start &
  flux-agent deploy hello ./examples/hello
  flux-agent exec hello world`,
  )

endQuietlyWithReader()
try {
  await program.parseAsync()
} catch (error) {
  // A ConfigError has a line for each wrong value.
  const text = (error as Error).message.replace(/^/gm, 'flux-agent: ')
  process.stderr.write(isJournal() ? journalEntries('fatal', text) : `${text}\n`)
  process.exitCode = error instanceof CommandFailure ? error.exitCode : 1
}
