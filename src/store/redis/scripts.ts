import { createHash } from 'node:crypto'
import { RECORD_TTL_MS } from '../record.js'

export const recordKey = (id: string) => `flux:exec:${id}`
// Not below the record's key: an id may contain any printable character, so `flux:exec:{id}:output` could be another
// id's record.
const OUTPUT_PREFIX = 'flux:exec-output:'
export const outputKey = (id: string) => `${OUTPUT_PREFIX}${id}`
const GAPS_PREFIX = 'flux:exec-gaps:'
/** A hash from the start to the end of each gap in the output. Exists only where something was lost. */
export const gapsKey = (id: string) => `${GAPS_PREFIX}${id}`
export const runningKey = (agentId: string) => `flux-agent:running:${agentId}`

/** A script that Redis runs atomically. */
export interface Script {
  readonly text: string
  /** Identifies the script to EVALSHA: SHA-1, hexadecimal. */
  readonly digest: string
}

export const script = (text: string): Script => ({ text, digest: createHash('sha1').update(text).digest('hex') })

/** Whether a record is that of a refused execution. */
const IS_REFUSED = `
local function is_refused(json)
  local ok, record = pcall(cjson.decode, json)
  return ok and type(record) == 'table' and record.refused == true
end`

/**
 * Keys: record, output, running ids. Arguments: the record, its time to live, the id, and two parts of the record's
 * JSON that identify this run of the id: agent and start time. Answers 1; 2 where this very run is recorded and has
 * ended; 0 where the id belongs to another.
 */
export const BEGIN = script(`${IS_REFUSED}
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('UNLINK', KEYS[2], '${GAPS_PREFIX}' .. ARGV[3])
else
  local stored = redis.call('GET', KEYS[1])
  if is_refused(stored) then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  elseif stored ~= ARGV[1] then
    if string.find(stored, ARGV[4], 1, true) and string.find(stored, ARGV[5], 1, true) then return 2 end
    return 0
  end
end
redis.call('SADD', KEYS[3], ARGV[3])
return 1`)

/** Keys and arguments as for BEGIN. Changes nothing unless the id is free. */
export const REFUSE = script(`${IS_REFUSED}
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('UNLINK', KEYS[2])
elseif is_refused(redis.call('GET', KEYS[1])) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end`)

/**
 * Call before writing bytes [from, to) of an output. Key: output. Arguments: from, to. SETRANGE fills the range between
 * the output's end and `from` with NUL bytes that the function did not write, so the range is noted as a gap. A new
 * output gets its time to live here, because SETRANGE does not set one; renewed leases extend it.
 */
export const BEFORE_OUTPUT = script(`
local length = redis.call('STRLEN', KEYS[1])
local from, to = tonumber(ARGV[1]), tonumber(ARGV[2])
local gaps = '${GAPS_PREFIX}' .. string.sub(KEYS[1], ${OUTPUT_PREFIX.length + 1})
if redis.call('EXISTS', gaps) == 1 then
  if redis.call('TYPE', gaps).ok ~= 'hash' then redis.call('DEL', gaps) end
  local known = redis.call('HGETALL', gaps)
  for i = 1, #known, 2 do
    local first, last = tonumber(known[i]), tonumber(known[i + 1])
    if first < to and last > from then
      redis.call('HDEL', gaps, known[i])
      if first < from then redis.call('HSET', gaps, first, from) end
      if last > to then redis.call('HSET', gaps, to, last) end
    end
  end
end
if length < from then
  redis.call('HSET', gaps, length, from)
  redis.call('PEXPIRE', gaps, ${RECORD_TTL_MS})
end
if length == 0 then redis.call('SET', KEYS[1], '', 'PX', ${RECORD_TTL_MS}) end`)

/**
 * Keys as for BEGIN. Arguments: the record, its time to live, the id, the length of the output. One script, so that an
 * id never leaves the running ones before its record has ended. Adds to the record how much output is missing.
 */
export const END = script(`
local gaps = '${GAPS_PREFIX}' .. ARGV[3]
local bytes = tonumber(ARGV[4])
local length = bytes > 0 and redis.call('STRLEN', KEYS[2]) or 0
local has_gaps = redis.call('EXISTS', gaps) == 1
if has_gaps and redis.call('TYPE', gaps).ok ~= 'hash' then
  redis.call('DEL', gaps)
  has_gaps = false
end
if length < bytes then
  redis.call('HSET', gaps, length, bytes)
  has_gaps = true
end
local record = ARGV[1]
if has_gaps then
  redis.call('PEXPIRE', gaps, ARGV[2])
  local known = redis.call('HGETALL', gaps)
  local starts, ends = {}, {}
  for i = 1, #known, 2 do
    local first = tonumber(known[i])
    starts[#starts + 1] = first
    ends[first] = tonumber(known[i + 1])
  end
  table.sort(starts)
  local lost, reached = 0, 0
  for _, first in ipairs(starts) do
    lost = lost + math.max(0, ends[first] - math.max(first, reached))
    reached = math.max(reached, ends[first])
  end
  record = string.sub(record, 1, -2) .. ',"output_lost_bytes":' .. string.format('%d', lost) .. '}'
end
redis.call('SET', KEYS[1], record, 'PX', ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
redis.call('SREM', KEYS[3], ARGV[3])`)
