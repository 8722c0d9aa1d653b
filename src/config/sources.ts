import { variableName } from './environment.js'
import type { ConfigKey } from './schema.js'

/** Where a configuration comes from. */
export interface Sources {
  /** The configuration file; absent where there is none. */
  readonly file?: string
  /** The keys that variables give. */
  readonly fromVariables: readonly ConfigKey[]
}

const DEVELOPMENT = 'development defaults'

/** Whether nothing is given, and the development defaults are used. */
export function isDevelopment({ file, fromVariables }: Sources): boolean {
  return file === undefined && fromVariables.length === 0
}

/** The file and the variables, for messages. */
export function sourceNames(sources: Sources): readonly string[] {
  const { file, fromVariables } = sources
  if (isDevelopment(sources)) return [DEVELOPMENT]
  return [...(file === undefined ? [] : [file]), ...fromVariables.map(variableName)]
}

/** The source as a whole, for messages about more than one key. */
export function sourceName(sources: Sources): string {
  return sources.file ?? (isDevelopment(sources) ? DEVELOPMENT : 'environment')
}

/** The place of a key for messages: its variable, or FILE: `path`. */
export function placeOf(sources: Sources, key: ConfigKey, path: string = key): string {
  // Without a file, a key that is missing is a variable, too.
  const isVariable = sources.file === undefined ? !isDevelopment(sources) : sources.fromVariables.includes(key)
  return isVariable ? variableName(key) : `${sourceName(sources)}: ${path}`
}
