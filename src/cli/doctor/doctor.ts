import { Command } from 'commander'
import type { AgentConfig } from '../../config/config.js'
import type { LoadedConfig } from '../../config/load.js'
import { isDevelopment, sourceNames } from '../../config/sources.js'
import { platform } from '../../os/index.js'
import { loadNamedConfig } from '../named-config.js'
import { writeJson, writeOut } from '../stdout.js'
import { checkCertificates } from './check-certificates.js'
import { checkDrain } from './check-drain.js'
import { checkFirewall } from './check-firewall.js'
import { checkFunctions } from './check-functions.js'
import { checkIsolation } from './check-isolation.js'
import { checkFolders, checkNode, checkUser } from './check-machine.js'
import { checkMetrics } from './check-metrics.js'
import { checkName } from './check-name.js'
import { checkRedis, checkReview } from './check-redis.js'
import { checkSecrets } from './check-secrets.js'
import { checkPort, checkStore } from './check-services.js'
import { checkTraces } from './check-traces.js'
import { type Finding, fail, ok, warn } from './finding.js'

interface DoctorOptions {
  readonly config?: string
  readonly json?: boolean
}

/** `flux-agent doctor`: checks whether an agent would run here, and names fixes. */
export function doctorCommand(): Command {
  return new Command('doctor')
    .summary('check whether an agent would run here')
    .description('Check whether an agent would run here, a line a check with the fix. Exit code 1 where one fails.')
    .option('--config <FILE>', 'configuration (default: $AGENT_CONFIG, ./agent.yaml, else development defaults)')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', '\nExample:\n  sudo flux-agent doctor --config /etc/flux-agent/agent.yaml')
    .action(async (options: DoctorOptions) => {
      const findings = await examine(options)
      await (options.json ? writeJson(findings) : writeOut(findings.map(line).join('')))
      if (findings.some(({ level }) => level === 'fail')) process.exitCode = 1
    })
}

async function examine(options: DoctorOptions): Promise<Finding[]> {
  const node = checkNode()
  let loaded: LoadedConfig
  try {
    loaded = loadNamedConfig(options)
  } catch (error) {
    const fix = 'correct it; the other checks need it'
    return [node, ...(error as Error).message.split('\n').map((problem) => fail('config', problem, fix))]
  }
  const { config, warnings } = loaded
  const store = await checkStore(config)
  const isolation = platform.inspectIsolation(config.stateDir)
  return [
    node,
    ...(isDevelopment(config) ? [] : [ok('config', sourceNames(config).join(', '))]),
    ...warnings.map((warning) => warn('config', warning)),
    ...checkUser(config),
    ...(await checkFolders(config)),
    ...checkIsolation(config, isolation),
    ...(await checkFirewall(config, isolation)),
    ...checkCertificates(config),
    ...checkSecrets(config),
    ...(await checkTraces(config)),
    store,
    ...(await checkRedis(config)),
    ...(store.level === 'fail' ? [] : await checkStored(config)),
    await checkPort(config),
    checkDrain(config),
    ...(await checkMetrics(config)),
  ]
}

/** What the store has; it answers. */
async function checkStored(config: AgentConfig): Promise<Finding[]> {
  return [...(await checkReview(config)), ...(await checkName(config)), ...(await checkFunctions(config))]
}

function line({ level, subject, message, fix }: Finding): string {
  const mark = level === 'fail' ? 'FAIL' : level
  return `${mark.padEnd(4)}  ${subject.padEnd(12)}  ${message}${fix ? `; ${fix}` : ''}\n`
}
