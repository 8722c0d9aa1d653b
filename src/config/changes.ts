import { isDeepStrictEqual } from 'node:util'
import type { AgentConfig } from './config.js'
import { KEYS, type KeyRule } from './keys.js'
import type { ConfigKey } from './schema.js'

/** A key whose value has changed. */
export interface Change {
  readonly key: ConfigKey
  readonly from: unknown
  readonly to: unknown
}

/** The result of applying another configuration to a running agent. */
export interface TakenOver {
  /** The configuration from now on. */
  readonly config: AgentConfig
  readonly changed: readonly Change[]
  /** Changed keys that take effect after a restart. */
  readonly pending: readonly ConfigKey[]
}

/** Applies to `inUse` every change in `asked` that needs no restart. */
export function takeOver(inUse: AgentConfig, asked: AgentConfig): TakenOver {
  const rules = Object.entries(KEYS) as [ConfigKey, KeyRule][]
  const taken = rules.flatMap(([, { reloads, property }]) => {
    // Adding or removing a section needs a restart.
    const stays = property in inUse === property in asked
    return reloads && stays ? [[property, asked[property]]] : []
  })
  const config: AgentConfig = { ...inUse, ...Object.fromEntries(taken) }
  const changed: Change[] = []
  const pending: ConfigKey[] = []
  for (const [key, { read }] of rules) {
    const [from, to] = [read(inUse), read(asked)]
    if (isDeepStrictEqual(from, to)) continue
    if (isDeepStrictEqual(read(config), to)) changed.push({ key, from, to })
    // Adding or removing a section is one change.
    else if (!key.startsWith('tls.') || key === 'tls.enabled') pending.push(key)
  }
  return { config, changed, pending }
}
