import { isDeepStrictEqual } from 'node:util'
import type { AgentConfig } from './config.js'
import { KEYS, type KeyRule } from './keys.js'
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

/** Takes from `asked` what can change while the agent runs with `inUse`. */
export function takeOver(inUse: AgentConfig, asked: AgentConfig): TakenOver {
  const rules = Object.entries(KEYS) as [ConfigKey, KeyRule][]
  const taken = rules.flatMap(([, { reloads, property }]) => {
    // A section that comes or goes takes a restart.
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
    // A section that comes or goes is one change.
    else if (!key.startsWith('tls.') || key === 'tls.enabled') pending.push(key)
  }
  return { config, changed, pending }
}
