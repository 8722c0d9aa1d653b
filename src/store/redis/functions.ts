import type { RedisCommand } from './pipeline.js'
import { type Script, script } from './scripts.js'

export const FUNCTION_PREFIX = 'agent:function:'

/** Longer than a command can be on its way, and than a withdrawal waits for the agent's restart. */
const RETAIN_MS = 7 * 24 * 3_600_000

/** Keys: function, its last registration, withdrawn. Arguments: function, registration's name, time to live. */
const PUT = script(`
if redis.call('EXISTS', KEYS[3]) == 1 then return 0 end
local replaced = redis.call('GET', KEYS[1])
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. (replaced or ''), 'PX', ARGV[3])
redis.call('SET', KEYS[1], ARGV[1])
return 1`)

/** Keys and arguments as for PUT. */
const WITHDRAW = script(`
redis.call('SET', KEYS[3], '1', 'PX', ARGV[3])
local last = redis.call('GET', KEYS[2]) or ''
local mine = ARGV[2] .. ' '
if string.sub(last, 1, #mine) ~= mine then return 0 end
if redis.call('GET', KEYS[1]) == ARGV[1] then
  local replaced = string.sub(last, #mine + 1)
  if replaced == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], replaced) end
end
redis.call('DEL', KEYS[2])
return 1`)

/**
 * Stores a function, and for a week what it replaced and by which registration: a command without an answer may arrive
 * long after it was given up, even after one that was sent later on another connection.
 */
export const putCommand = (name: string, json: string, registration: string) => command(PUT, name, json, registration)

/** Undoes a registration, also should it arrive after this command. */
export const withdrawCommand = (name: string, json: string, registration: string) =>
  command(WITHDRAW, name, json, registration)

function command(what: Script, name: string, json: string, registration: string): RedisCommand {
  const key = FUNCTION_PREFIX + name
  return {
    script: what,
    // The function's key is their hash tag, so that all are in its slot.
    keys: [key, `flux-agent:registration:{${key}}`, `flux-agent:withdrawn:{${key}}:${registration}`],
    args: [json, registration, RETAIN_MS],
  }
}
