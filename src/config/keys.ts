import type { RedisAccess } from '../store/redis/access.js'
import type { AgentConfig } from './config.js'
import { endpointText } from './endpoint.js'
import { networkTargetText } from './network-target.js'
import type { ConfigKey } from './schema.js'

/** What a key of the file sets, and how it reloads. */
export interface KeyRule {
  /** The property of AgentConfig that holds it. */
  readonly property: keyof AgentConfig
  /** Whether a reload applies it; otherwise it takes effect after a restart. */
  readonly reloads: boolean
  readonly read: (config: AgentConfig) => unknown
}

type Read = (config: AgentConfig) => unknown

const rule =
  (reloads: boolean) =>
  (property: keyof AgentConfig, read: Read = (config) => config[property]): KeyRule => ({ property, reloads, read })
const restart = rule(false)
const reload = rule(true)

const access = ({ store }: AgentConfig): RedisAccess => (store.kind === 'redis' && store.access) || {}

/** All keys of the file. */
export const KEYS: Readonly<Record<ConfigKey, KeyRule>> = {
  agent_id: restart('agentId'),
  host: restart('host'),
  port: restart('port'),
  redis_addr: restart('store', ({ store }) => (store.kind === 'redis' ? store.address : store)),
  'redis.ca_cert': restart('store', (config) => access(config).caCert),
  'redis.cert_file': restart('store', (config) => access(config).certFile),
  'redis.key_file': restart('store', (config) => access(config).keyFile),
  'redis.server_name': restart('store', (config) => access(config).serverName),
  'redis.password_file': restart('store', (config) => access(config).passwordFile),
  'redis.sentinel_user': restart('store', (config) => access(config).sentinelUser),
  'redis.sentinel_password_file': restart('store', (config) => access(config).sentinelPasswordFile),
  'network.node_private_ip': restart('network', ({ network }) => network.privateIp),
  'network.node_public_ip': restart('network', ({ network }) => network.publicIp),
  'network.deny': reload('deny', ({ deny }) => deny.map(networkTargetText)),
  'network.functions': restart('functions', ({ functions }) => functions.network),
  'functions.isolation': restart('functions', ({ functions }) => functions.separate),
  'functions.uids': restart('functions', ({ functions }) => functions.uids),
  'functions.tmp_bytes': restart('functions', ({ functions }) => functions.tmpBytes),
  'functions.disk_bytes': restart('functions', ({ functions }) => functions.diskBytes),
  'functions.code_cache': restart('functions', ({ functions }) => functions.codeCache),
  // Connections with and without TLS need different servers.
  'tls.enabled': restart('tls', ({ tls }) => tls !== undefined),
  'tls.ca_cert': reload('tls', ({ tls }) => tls?.caCert),
  'tls.cert_file': reload('tls', ({ tls }) => tls?.certFile),
  'tls.key_file': reload('tls', ({ tls }) => tls?.keyFile),
  'tls.allowed_clients': reload('tls', ({ tls }) => tls?.allowedClients),
  max_tasks: reload('maxTasks'),
  max_queued: reload('maxQueued'),
  max_output_bytes: reload('maxOutputBytes'),
  store_backlog_bytes: reload('backlogBytes'),
  drain_seconds: reload('drainSeconds'),
  survive_seconds: restart('surviveSeconds'),
  run_as: restart('runAs'),
  allow_root: restart('allowRoot'),
  apps_dir: restart('appsDir'),
  state_dir: restart('stateDir'),
  'archive.max_entries': reload('archive', ({ archive }) => archive.maxEntries),
  'archive.max_bytes': reload('archive', ({ archive }) => archive.maxBytes),
  'archive.max_ratio': reload('archive', ({ archive }) => archive.maxRatio),
  'metrics.listen': restart('metrics', ({ metrics }) => metrics && endpointText(metrics)),
  'metrics.allowed_hosts': restart('metrics', ({ metrics }) => metrics?.allowedHosts ?? []),
  'traces.endpoint': restart('traces', ({ traces }) => traces?.endpoint),
  'traces.headers_file': restart('traces', ({ traces }) => traces?.headersFile),
  'traces.ca_cert': restart('traces', ({ traces }) => traces?.caCert),
  'traces.cert_file': restart('traces', ({ traces }) => traces?.certFile),
  'traces.key_file': restart('traces', ({ traces }) => traces?.keyFile),
  workers: restart('workers'),
  isolation: restart('isolation', ({ isolation }) => isolation.required),
  no_new_privileges: restart('isolation', ({ isolation }) => isolation.noNewPrivileges),
  max_processes: restart('isolation', ({ isolation }) => isolation.maxProcesses),
  oom_kill: restart('isolation', ({ isolation }) => isolation.oomKill),
  log_level: reload('logLevel'),
}
