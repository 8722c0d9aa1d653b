import { accessSync, constants, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { ForeignFile, readOwnFile } from '../os/owned-file.js'
import type { StoreLocation } from '../store/open.js'
import { type RedisFileError, readPassword } from '../store/redis/access.js'
import { parseRedisAddress } from '../store/redis/address.js'
import { readRedisTls } from '../store/redis/tls.js'
import type { AgentConfig } from './config.js'
import { ConfigError, readDocument, readSettings } from './document.js'
import type { Settings } from './schema.js'

export { ConfigError } from './document.js'

export interface LoadedConfig {
  readonly config: AgentConfig
  /** Warnings about ignored, assumed or unsafe settings. */
  readonly warnings: readonly string[]
}

/**
 * Loads the configuration from `file` (the --config option), else AGENT_CONFIG, else ./agent.yaml, else development
 * defaults that listen on loopback only. Throws ConfigError. Blocks.
 */
export function loadConfig(options: { file?: string | undefined; env: NodeJS.ProcessEnv; cwd: string }): LoadedConfig {
  const named = options.file ?? (options.env['AGENT_CONFIG'] || undefined)
  const file = resolve(options.cwd, named ?? 'agent.yaml')
  const contents = readConfigFile(file, named !== undefined)
  if (contents === undefined) return developmentDefaults(options.cwd)
  const { settings, warnings } = readDocument(contents, file)
  const config = { file, ...resolveSettings(settings, dirname(file)) }
  checkTlsFiles(config)
  checkRedis(config)
  return { config, warnings: [...warnings, ...exposure(config)] }
}

/** Undefined where the default file does not exist. */
function readConfigFile(file: string, named: boolean): Buffer | undefined {
  try {
    return readOwnFile(file)
  } catch (error) {
    if (error instanceof ForeignFile) throw new ConfigError(error.message)
    const { code, message } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' && !named) return undefined
    throw new ConfigError(`${file}: cannot be read: ${code === 'ENOENT' ? 'there is no such file' : message}`)
  }
}

function developmentDefaults(cwd: string): LoadedConfig {
  const document = {
    agent_id: `dev-${hostname()}`,
    host: '127.0.0.1',
    redis_addr: 'embedded',
    run_as: 'self',
    state_dir: '.flux-agent',
  }
  const warning =
    `no configuration file: development defaults are used (loopback only, embedded store in ./.flux-agent); ` +
    `give one with --config FILE, AGENT_CONFIG=FILE or ./agent.yaml`
  return { config: resolveSettings(readSettings(document, 'development defaults'), cwd), warnings: [warning] }
}

function resolveSettings(settings: Settings, base: string): AgentConfig {
  const { network, functions, tls, archive, run_as } = settings
  const stateDir = resolve(base, settings.state_dir)
  return {
    agentId: settings.agent_id,
    host: settings.host,
    port: settings.port,
    store: resolveStore(settings, base, stateDir),
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
        caCert: resolve(base, tls.ca_cert),
        certFile: resolve(base, tls.cert_file),
        keyFile: resolve(base, tls.key_file),
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
    ...(settings.apps_dir && { appsDir: resolve(base, settings.apps_dir) }),
    stateDir,
    archive: { maxEntries: archive.max_entries, maxBytes: archive.max_bytes, maxRatio: archive.max_ratio },
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

function resolveStore({ redis_addr: setting, redis }: Settings, base: string, stateDir: string): StoreLocation {
  if (setting.kind === 'redis') {
    if (!redis) return setting
    const { ca_cert, cert_file, key_file, server_name, password_file, sentinel_password_file } = redis
    const access = {
      ...(ca_cert && { caCert: resolve(base, ca_cert) }),
      ...(cert_file && { certFile: resolve(base, cert_file) }),
      ...(key_file && { keyFile: resolve(base, key_file) }),
      ...(server_name && { serverName: server_name }),
      ...(password_file && { passwordFile: resolve(base, password_file) }),
      ...(sentinel_password_file && { sentinelPasswordFile: resolve(base, sentinel_password_file) }),
    }
    return { ...setting, access }
  }
  return { kind: 'embedded', path: setting.path ? resolve(base, setting.path) : join(stateDir, 'store') }
}

/** Refuses keys that the address would not use: data would go out unencrypted, or a password would be in vain. */
function checkRedis({ file, store }: AgentConfig): void {
  if (store.kind !== 'redis' || !store.access) return
  const { passwordFile, sentinelPasswordFile, ...tls } = store.access
  const { kind, tls: isTls, credentials } = parseRedisAddress(store.address)
  const refuse = (problem: string) => {
    throw new ConfigError(`${file}: redis${problem}`)
  }
  if (!isTls && Object.keys(tls).length > 0)
    refuse(': redis_addr is without TLS; write rediss:// there, or leave the keys for TLS out')
  if (passwordFile && credentials.password)
    refuse('.password_file: redis_addr contains a password, too; leave it out there, as in redis://user:@host')
  if (sentinelPasswordFile && kind !== 'sentinel')
    refuse('.sentinel_password_file: redis_addr names no Sentinels; write redis+sentinel:// there, or leave it out')
  try {
    readRedisTls(tls)
    if (passwordFile) readPassword('password_file', passwordFile)
    if (sentinelPasswordFile) readPassword('sentinel_password_file', sentinelPasswordFile)
  } catch (error) {
    const { key, message } = error as RedisFileError
    refuse(`.${key}: ${message}`)
  }
}

function checkTlsFiles({ file, tls }: AgentConfig): void {
  if (!tls) return
  const keys = { ca_cert: tls.caCert, cert_file: tls.certFile, key_file: tls.keyFile }
  for (const [key, path] of Object.entries(keys)) {
    try {
      accessSync(path, constants.R_OK)
      if (statSync(path).isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      throw new ConfigError(
        `${file}: tls.${key}: ${JSON.stringify(path)} is not allowed; allowed: a PEM file that the agent can read (${code})`,
      )
    }
  }
}

function exposure({ file, tls, host, port }: AgentConfig): string[] {
  if (tls || isLoopback(host)) return []
  return [
    `${file}: NO TLS: everybody who reaches ${host} port ${port} can run programs on this node; ` +
      `give the tls keys, or host: 127.0.0.1`,
  ]
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}
