import { join } from 'node:path'
import type { ClientTls } from '../access/client-tls.js'
import type { StoreLocation } from '../store/open.js'
import type { AgentConfig } from './config.js'
import type { ConfigKey, Settings } from './schema.js'
import type { Sources } from './sources.js'

/** The absolute path of what a key gives. */
export type Resolve = (key: ConfigKey, path: string) => string

/** What the keys say, with absolute paths. */
export function resolveSettings(settings: Settings, sources: Sources, absolute: Resolve): AgentConfig {
  const { network, functions, tls, archive, metrics, run_as } = settings
  const stateDir = absolute('state_dir', settings.state_dir)
  return {
    ...sources,
    agentId: settings.agent_id,
    host: settings.host,
    port: settings.port,
    store: resolveStore(settings, absolute, stateDir),
    network: {
      ...(network.node_private_ip && { privateIp: network.node_private_ip }),
      ...(network.node_public_ip && { publicIp: network.node_public_ip }),
    },
    deny: network.deny,
    functions: {
      separate: functions.isolation === 'separate',
      uids: functions.uids,
      tmpBytes: functions.tmp_bytes,
      diskBytes: functions.disk_bytes,
      network: network.functions,
      codeCache: functions.code_cache,
    },
    ...(tls && {
      tls: {
        caCert: absolute('tls.ca_cert', tls.ca_cert),
        certFile: absolute('tls.cert_file', tls.cert_file),
        keyFile: absolute('tls.key_file', tls.key_file),
        allowedClients: tls.allowed_clients,
      },
    }),
    maxTasks: settings.max_tasks,
    maxQueued: settings.max_queued,
    maxOutputBytes: settings.max_output_bytes,
    backlogBytes: settings.store_backlog_bytes,
    drainSeconds: settings.drain_seconds,
    surviveSeconds: settings.survive_seconds,
    runAs: run_as === 'self' ? { kind: 'self' } : { kind: 'user', name: run_as },
    allowRoot: settings.allow_root,
    ...(settings.apps_dir && { appsDir: absolute('apps_dir', settings.apps_dir) }),
    stateDir,
    archive: { maxEntries: archive.max_entries, maxBytes: archive.max_bytes, maxRatio: archive.max_ratio },
    ...(metrics.listen && { metrics: { ...metrics.listen, allowedHosts: metrics.allowed_hosts } }),
    ...resolveTraces(settings, absolute),
    workers: settings.workers,
    isolation: {
      required: settings.isolation === 'required',
      noNewPrivileges: settings.no_new_privileges,
      maxProcesses: settings.max_processes,
      oomKill: settings.oom_kill,
    },
    logLevel: settings.log_level,
  }
}

function resolveTraces({ traces }: Settings, absolute: Resolve): Pick<AgentConfig, 'traces'> {
  const { endpoint, headers_file } = traces
  if (endpoint === undefined) return {}
  const headersFile = headers_file === undefined ? {} : { headersFile: absolute('traces.headers_file', headers_file) }
  return { traces: { endpoint, ...headersFile, ...resolveClientTls('traces', traces, absolute) } }
}

function resolveClientTls(
  section: 'redis' | 'traces',
  { ca_cert, cert_file, key_file }: Settings['traces'],
  absolute: Resolve,
): ClientTls {
  return {
    ...(ca_cert && { caCert: absolute(`${section}.ca_cert`, ca_cert) }),
    ...(cert_file && { certFile: absolute(`${section}.cert_file`, cert_file) }),
    ...(key_file && { keyFile: absolute(`${section}.key_file`, key_file) }),
  }
}

function resolveStore({ redis_addr: setting, redis }: Settings, absolute: Resolve, stateDir: string): StoreLocation {
  if (setting.kind === 'redis') {
    if (!redis) return setting
    const { server_name, password_file, sentinel_user, sentinel_password_file } = redis
    const access = {
      ...resolveClientTls('redis', redis, absolute),
      ...(server_name && { serverName: server_name }),
      ...(password_file && { passwordFile: absolute('redis.password_file', password_file) }),
      ...(sentinel_user && { sentinelUser: sentinel_user }),
      ...(sentinel_password_file && {
        sentinelPasswordFile: absolute('redis.sentinel_password_file', sentinel_password_file),
      }),
    }
    return { ...setting, access }
  }
  return { kind: 'embedded', path: setting.path ? absolute('redis_addr', setting.path) : join(stateDir, 'store') }
}
