import { type TakenOver, takeOver } from '../config/changes.js'
import type { AgentConfig } from '../config/config.js'
import { loadAgain } from '../config/load.js'
import { isDevelopment, sourceName } from '../config/sources.js'
import { exposureWarnings } from '../host/secrets.js'
import type { Log } from '../log/log.js'
import type { RunAs } from '../os/platform.js'
import type { WriteQueues } from '../store/queue/write-queues.js'
import type { ChangeableCallers } from '../tls/callers.js'
import { loadCertificates } from '../tls/certificates.js'
import type { ReloadingCredentials } from '../tls/credentials.js'
import type { AdmissionControl } from './executions/admission.js'
import type { WorkerPool } from './executions/worker-pool.js'
import { workerSettings } from './executions/worker-settings.js'
import type { FunctionFirewall } from './function-firewall.js'
import type { Deployer } from './functions/deployer.js'

/** The result of a reload. */
export type Reload =
  | { readonly kind: 'not read'; readonly why: string }
  /** Nothing has changed. One line for each problem. */
  | { readonly kind: 'refused'; readonly problems: readonly string[] }
  | (Omit<TakenOver, 'config'> & {
      readonly kind: 'taken over'
      readonly source: string
      readonly warnings: readonly string[]
    })

/** The parts of a running agent that can change. */
interface Parts {
  readonly log: Log
  readonly tls: ReloadingCredentials
  readonly firewall: FunctionFirewall | undefined
  readonly callers: ChangeableCallers
  readonly admission: AdmissionControl
  readonly deployer: Deployer
  readonly writes: WriteQueues
  readonly pool: WorkerPool
}

/** The configuration in use. Main thread only. */
export class LiveConfig {
  constructor(
    private config: AgentConfig,
    private readonly runAs: RunAs | undefined,
    private readonly parts: Parts,
  ) {}

  get current(): AgentConfig {
    return this.config
  }

  /** Reads the file, and the files that keys name, again and applies every reloadable key; nothing, if anything in it is wrong. Blocks. */
  reload(): Reload {
    if (isDevelopment(this.config))
      return { kind: 'not read', why: 'development defaults are used: there is no file to read' }
    try {
      const { config: asked, warnings } = loadAgain(this.config, { env: process.env, cwd: process.cwd() })
      const { config, ...changes } = takeOver(this.config, asked)
      const certificates = config.tls && loadCertificates(config.tls)
      // Nothing below this line fails.
      if (config.tls && certificates) this.parts.tls.use(config.tls, certificates)
      this.apply(config)
      return {
        kind: 'taken over',
        source: sourceName(config),
        ...changes,
        warnings: [...warnings, ...exposureWarnings(config, this.runAs)],
      }
    } catch (error) {
      return { kind: 'refused', problems: (error as Error).message.split('\n') }
    }
  }

  private apply(config: AgentConfig): void {
    const { log, callers, firewall, admission, deployer, writes, pool } = this.parts
    this.config = config
    log.level = config.logLevel
    if (config.tls) callers.allow(config.tls.allowedClients)
    firewall?.use(config.deny)
    deployer.limits = config.archive
    writes.boundBytes = config.backlogBytes
    pool.configure(workerSettings(config))
    admission.limitNode(config.maxTasks, config.maxQueued)
  }
}

/** Logs the result of a reload. */
export function logReload(log: Log, reload: Reload): void {
  switch (reload.kind) {
    case 'not read':
      log.warn(`configuration not reloaded: ${reload.why}`)
      break
    case 'refused':
      for (const problem of reload.problems) log.error(`${problem}; the agent goes on with the configuration in use`)
      break
    case 'taken over': {
      const { source, changed, pending, warnings } = reload
      for (const warning of warnings) log.warn(warning)
      for (const key of pending) log.warn(`${key}: changed in ${source}; takes effect after a restart`)
      const changes = changed.map(({ key, from, to }) => [key, `${from} → ${to}`])
      log.info({ file: source, changed: Object.fromEntries(changes) }, 'configuration read again')
      break
    }
  }
}
