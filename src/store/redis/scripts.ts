import { createHash } from 'node:crypto'
import { RECORD_TTL_MS } from '../record.js'

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
 * Keys: record, output, gaps, running ids. Arguments: the record, its time to live, the id, and two parts of the record's
 * JSON that identify this run of the id: agent and start time. Answers 1; 2 where this very run is recorded and has
 * ended; 0 where the id belongs to another.
 */
export const BEGIN = script(`${IS_REFUSED}
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('UNLINK', KEYS[2], KEYS[3])
else
  local stored = redis.call('GET', KEYS[1])
  if is_refused(stored) then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  elseif stored ~= ARGV[1] then
    if string.find(stored, ARGV[4], 1, true) and string.find(stored, ARGV[5], 1, true) then return 2 end
    return 0
  end
end
redis.call('SADD', KEYS[4], ARGV[3])
return 1`)

/** Keys and arguments as for BEGIN. Changes nothing unless the id is free. */
export const REFUSE = script(`${IS_REFUSED}
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  redis.call('UNLINK', KEYS[2])
elseif is_refused(redis.call('GET', KEYS[1])) then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
end`)

const NOTE_GAP = `
local length = redis.call('STRLEN', KEYS[1])
local from, to = tonumber(ARGV[1]), tonumber(ARGV[2])
if redis.call('EXISTS', KEYS[2]) == 1 then
  if redis.call('TYPE', KEYS[2]).ok ~= 'hash' then redis.call('DEL', KEYS[2]) end
  local known = redis.call('HGETALL', KEYS[2])
  for i = 1, #known, 2 do
    local first, last = tonumber(known[i]), tonumber(known[i + 1])
    if first < to and last > from then
      redis.call('HDEL', KEYS[2], known[i])
      if first < from then redis.call('HSET', KEYS[2], first, from) end
      if last > to then redis.call('HSET', KEYS[2], to, last) end
    end
  end
end
if length < from then
  redis.call('HSET', KEYS[2], length, from)
  redis.call('PEXPIRE', KEYS[2], ${RECORD_TTL_MS})
end
if length == 0 then redis.call('SET', KEYS[1], '', 'PX', ${RECORD_TTL_MS}) end`

/**
 * Call before writing bytes [from, to) of an output. Keys: output, gaps. Arguments: from, to. SETRANGE fills the range
 * between the output's end and `from` with NUL bytes that the function did not write, so the range is noted as a gap. A
 * new output gets its time to live here, because SETRANGE does not set one; renewed leases extend it.
 */
export const BEFORE_OUTPUT = script(NOTE_GAP)

/**
 * The same, and writes the bytes, which are a third argument: for a cluster, where a command and the one after it may
 * meet different nodes. Large ones cost Redis twice as much in a script.
 */
export const OUTPUT = script(`${NOTE_GAP}
redis.call('SETRANGE', KEYS[1], from, ARGV[3])`)

/**
 * Keys as for BEGIN. Arguments: the record, its time to live, the id, the length of the output. One script, so that an
 * id never leaves the running ones before its record has ended. Adds to the record how much output is missing.
 */
export const END = script(`
local bytes = tonumber(ARGV[4])
local length = bytes > 0 and redis.call('STRLEN', KEYS[2]) or 0
local has_gaps = redis.call('EXISTS', KEYS[3]) == 1
if has_gaps and redis.call('TYPE', KEYS[3]).ok ~= 'hash' then
  redis.call('DEL', KEYS[3])
  has_gaps = false
end
if length < bytes then
  redis.call('HSET', KEYS[3], length, bytes)
  has_gaps = true
end
local record = ARGV[1]
if has_gaps then
  redis.call('PEXPIRE', KEYS[3], ARGV[2])
  local known = redis.call('HGETALL', KEYS[3])
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
redis.call('SREM', KEYS[4], ARGV[3])`)
