import { Command } from 'commander'
import { sourceNames } from '../config/sources.js'
import { loadCertificates } from '../tls/certificates.js'
import { loadNamedConfig } from './named-config.js'
import { writeOut } from './stdout.js'

/** `flux-agent check-config`: checks whether a start or a reload would accept the configuration. Changes nothing. */
export function checkConfigCommand(): Command {
  return new Command('check-config')
    .summary('check the configuration')
    .description(
      'Check the configuration and its TLS files as a start and a reload do; doctor also checks the machine. ' +
        'Exit code 1, and a line on standard error for each problem, where something is wrong.',
    )
    .option('--config <FILE>', 'configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .addHelpText('after', '\nExample:\n  flux-agent check-config --config /etc/flux-agent/agent.yaml')
    .action(async (options: { config?: string }) => {
      const { config, warnings } = loadNamedConfig(options)
      const tlsWarnings = config.tls ? loadCertificates(config.tls).warnings : []
      for (const warning of [...warnings, ...tlsWarnings]) console.error(`flux-agent: ${warning}`)
      await writeOut(
        sourceNames(config)
          .map((source) => `${source}: ok\n`)
          .join(''),
      )
    })
}
