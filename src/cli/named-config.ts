import { type LoadedConfig, loadConfig } from '../config/load.js'

/** The configuration that --config names, or the environment, or this folder's. Throws ConfigError. */
export function loadNamedConfig({ config: file }: { readonly config?: string }): LoadedConfig {
  return loadConfig({ file, env: process.env, cwd: process.cwd() })
}
