import type { NameHolder } from '../store.js'
import type { RedisCommand } from './pipeline.js'
import { script } from './scripts.js'

/**
 * Key: the name. Arguments: the new holder, milliseconds, whom it may replace. Answers nil, or the holder and its time
 * left.
 */
const CLAIM = script(`
local held = redis.call('GET', KEYS[1])
if held and held ~= ARGV[1] and held ~= ARGV[3] then return { held, redis.call('PTTL', KEYS[1]) } end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return false`)

/** Key: the name. Argument: its holder. */
const RELEASE = script(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return false`)

const nameKey = (agentId: string) => `flux-agent:agent:${agentId}`

export const claimCommand = (agentId: string, holder: string, ms: number, replaced: string): RedisCommand => ({
  script: CLAIM,
  keys: [nameKey(agentId)],
  args: [holder, ms, replaced],
})

export const lookCommands = (agentId: string): RedisCommand[] => [
  { name: 'get', keys: [nameKey(agentId)], args: [] },
  { name: 'pttl', keys: [nameKey(agentId)], args: [] },
]

/** From Redis' replies; a negative time left means none. */
export function nameHolder(value: unknown, leftMs: unknown): NameHolder {
  return { value: String(value), leftMs: Number(leftMs) >= 0 ? Number(leftMs) : undefined }
}

export const releaseCommand = (agentId: string, holder: string): RedisCommand => ({
  script: RELEASE,
  keys: [nameKey(agentId)],
  args: [holder],
})
