import { hostname } from 'node:os'
import { dirname, resolve } from 'node:path'
import { ForeignFile, readOwnFile } from '../os/owned-file.js'
import { checkFiles } from './check-files.js'
import type { AgentConfig } from './config.js'
import { ConfigError, readDocument, readSettings, readWithoutFile } from './document.js'
import { endpointText } from './endpoint.js'
import { readVariables, type Variables } from './environment.js'
import { resolveSettings } from './resolve.js'
import type { Settings } from './schema.js'
import { placeOf, type Sources, sourceName } from './sources.js'

export { ConfigError } from './document.js'

export interface LoadedConfig {
  readonly config: AgentConfig
  /** Warnings about ignored, assumed or unsafe settings. */
  readonly warnings: readonly string[]
}

/** What a configuration is read from, beside its file. */
export interface Surroundings {
  /** Its FLUX_AGENT_ variables have priority over the file. */
  readonly env: NodeJS.ProcessEnv
  /** Absolute; relative paths in variables begin here. */
  readonly cwd: string
}

/**
 * Loads the configuration from `file` (the --config option), else AGENT_CONFIG, else ./agent.yaml, and from variables.
 * Without any of them: development defaults that listen on loopback only. Throws ConfigError. Blocks.
 */
export function loadConfig(options: Surroundings & { readonly file?: string | undefined }): LoadedConfig {
  const named = options.file ?? (options.env['AGENT_CONFIG'] || undefined)
  const file = resolve(options.cwd, named ?? 'agent.yaml')
  const variables = readVariables(options.env)
  const contents = named === undefined ? readDefaultFile(file) : readConfigFile(file)
  if (contents !== undefined) return fromFile(file, contents, variables, options.cwd)
  return variables.values.size > 0 ? withoutFile(variables, options.cwd) : developmentDefaults(variables, options.cwd)
}

/** Loads from where a running agent's configuration came from. Throws ConfigError. Blocks. */
export function loadAgain({ file }: Sources, { env, cwd }: Surroundings): LoadedConfig {
  const variables = readVariables(env)
  return file === undefined ? withoutFile(variables, cwd) : fromFile(file, readConfigFile(file), variables, cwd)
}

function fromFile(file: string, contents: Buffer, variables: Variables, cwd: string): LoadedConfig {
  return checked({ file, fromVariables: [...variables.values.keys()] }, readDocument(contents, file, variables), cwd)
}

function withoutFile(variables: Variables, cwd: string): LoadedConfig {
  return checked({ fromVariables: [...variables.values.keys()] }, readWithoutFile(variables), cwd)
}

function checked(
  sources: Sources,
  { settings, warnings }: { readonly settings: Settings; readonly warnings: readonly string[] },
  cwd: string,
): LoadedConfig {
  const { file, fromVariables } = sources
  const folder = file === undefined ? cwd : dirname(file)
  const config = resolveSettings(settings, sources, (key, path) =>
    resolve(fromVariables.includes(key) ? cwd : folder, path),
  )
  checkFiles(config)
  return { config, warnings: [...warnings, ...exposure(config)] }
}

/** Undefined where there is none. */
function readDefaultFile(file: string): Buffer | undefined {
  try {
    return readConfigFile(file)
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function readConfigFile(file: string): Buffer {
  try {
    return readOwnFile(file)
  } catch (error) {
    if (error instanceof ForeignFile) throw new ConfigError(error.message, { cause: error })
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'there is no such file' : message
    throw new ConfigError(`${file}: cannot be read: ${why}`, { cause: error })
  }
}

function developmentDefaults(variables: Variables, cwd: string): LoadedConfig {
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
  const sources = { fromVariables: [] }
  const config = resolveSettings(readSettings(document, sources), sources, (_key, path) => resolve(cwd, path))
  return { config, warnings: [warning, ...variables.warnings] }
}

function exposure(config: AgentConfig): string[] {
  const { tls, host, port, metrics } = config
  const programs =
    `${sourceName(config)}: NO TLS: everybody who reaches ${host} port ${port} can run programs on this node; ` +
    `give the tls keys, or host: 127.0.0.1`
  const shown =
    metrics &&
    `${placeOf(config, 'metrics.listen')}: everybody who reaches ${endpointText(metrics)} can read the names and the ` +
      `errors of functions; give 127.0.0.1:${metrics.port}, or let a firewall choose who does`
  return [...(tls || isLoopback(host) ? [] : [programs]), ...(shown && !isLoopback(metrics.host) ? [shown] : [])]
}

function isLoopback(host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}
