import { type LoadedConfig, loadConfig } from '../config/load.js'

/** Loads the configuration named by --config or AGENT_CONFIG, or ./agent.yaml. Throws ConfigError. */
export function loadNamedConfig({ config: file }: { readonly config?: string }): LoadedConfig {
  return loadConfig({ file, env: process.env, cwd: process.cwd() })
}
