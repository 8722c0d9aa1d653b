import { isDeepStrictEqual } from 'node:util'
import type { StoreLocation } from '../store/open.js'
import type { RedisTls } from '../store/redis/tls.js'
import type { AgentConfig } from './config.js'
import type { ConfigKey } from './schema.js'

/** A key that has another value than before. */
export interface Change {
  readonly key: ConfigKey
  readonly from: unknown
  readonly to: unknown
}

/** What a running agent makes of another configuration. */
export interface TakenOver {
  /** What it goes on with. */
  readonly config: AgentConfig
  readonly changed: readonly Change[]
  /** Keys that differ as well, and count from the next start on. */
  readonly pending: readonly ConfigKey[]
}

const redisTls = (store: StoreLocation): RedisTls => (store.kind === 'redis' && store.tls) || {}

/** What each key of the file has set. */
const VALUES: Readonly<Record<ConfigKey, (config: AgentConfig) => unknown>> = {
  agent_id: ({ agentId }) => agentId,
  host: ({ host }) => host,
  port: ({ port }) => port,
  redis_addr: ({ store }) => (store.kind === 'redis' ? store.address : store),
  'redis_tls.ca_cert': ({ store }) => redisTls(store).caCert,
  'redis_tls.cert_file': ({ store }) => redisTls(store).certFile,
  'redis_tls.key_file': ({ store }) => redisTls(store).keyFile,
  'redis_tls.server_name': ({ store }) => redisTls(store).serverName,
  'network.node_private_ip': ({ network }) => network.privateIp,
  'network.node_public_ip': ({ network }) => network.publicIp,
  'tls.enabled': ({ tls }) => tls !== undefined,
  'tls.ca_cert': ({ tls }) => tls?.caCert,
  'tls.cert_file': ({ tls }) => tls?.certFile,
  'tls.key_file': ({ tls }) => tls?.keyFile,
  'tls.allowed_clients': ({ tls }) => tls?.allowedClients,
  max_tasks: ({ maxTasks }) => maxTasks,
  max_queued: ({ maxQueued }) => maxQueued,
  max_output_bytes: ({ maxOutputBytes }) => maxOutputBytes,
  store_backlog_bytes: ({ backlogBytes }) => backlogBytes,
  drain_seconds: ({ drainSeconds }) => drainSeconds,
  run_as: ({ runAs }) => runAs,
  allow_root: ({ allowRoot }) => allowRoot,
  apps_dir: ({ appsDir }) => appsDir,
  state_dir: ({ stateDir }) => stateDir,
  'archive.max_entries': ({ archive }) => archive.maxEntries,
  'archive.max_bytes': ({ archive }) => archive.maxBytes,
  'archive.max_ratio': ({ archive }) => archive.maxRatio,
  workers: ({ workers }) => workers,
  isolation: ({ isolation }) => isolation.required,
  no_new_privileges: ({ isolation }) => isolation.noNewPrivileges,
  max_processes: ({ isolation }) => isolation.maxProcesses,
  oom_kill: ({ isolation }) => isolation.oomKill,
  log_level: ({ logLevel }) => logLevel,
}

/** Takes from `asked` what can change while the agent runs with `inUse`. */
export function takeOver(inUse: AgentConfig, asked: AgentConfig): TakenOver {
  const { tls, maxTasks, maxQueued, maxOutputBytes, backlogBytes, drainSeconds, archive, logLevel } = asked
  const config: AgentConfig = {
    ...inUse,
    // Without TLS the port is another one, for which a start is needed.
    ...(inUse.tls && tls && { tls }),
    maxTasks,
    maxQueued,
    maxOutputBytes,
    backlogBytes,
    drainSeconds,
    archive,
    logLevel,
  }
  const changed: Change[] = []
  const pending: ConfigKey[] = []
  for (const [key, read] of Object.entries(VALUES) as [ConfigKey, (config: AgentConfig) => unknown][]) {
    const [from, to] = [read(inUse), read(asked)]
    if (isDeepStrictEqual(from, to)) continue
    if (isDeepStrictEqual(read(config), to)) changed.push({ key, from, to })
    // A section that comes or goes is one change.
    else if (!key.startsWith('tls.') || key === 'tls.enabled') pending.push(key)
  }
  return { config, changed, pending }
}
