import type { Probe } from '../probe.js'
import type { RedisCommand } from './pipeline.js'
import { gapsKey, outputKey, recordKey, runningKey } from './scripts.js'

/** Arguments for each command that scripts call. Before version 7.2 Redis does not say which of them it refuses. */
export const IN_SCRIPTS: Readonly<Record<string, (probe: Probe) => Omit<RedisCommand, 'name' | 'script'>>> = {
  SET: ({ id }) => ({ keys: [recordKey(id)], args: ['{}', 'NX', 'PX', 60_000] }),
  GET: ({ id }) => ({ keys: [recordKey(id)], args: [] }),
  EXISTS: ({ id }) => ({ keys: [recordKey(id)], args: [] }),
  TYPE: ({ id }) => ({ keys: [recordKey(id)], args: [] }),
  PTTL: ({ id }) => ({ keys: [recordKey(id)], args: [] }),
  PEXPIRE: ({ id }) => ({ keys: [recordKey(id)], args: [60_000] }),
  DEL: ({ id }) => ({ keys: [recordKey(id)], args: [] }),
  STRLEN: ({ id }) => ({ keys: [outputKey(id)], args: [] }),
  HSET: ({ id }) => ({ keys: [gapsKey(id)], args: [0, 1] }),
  HGETALL: ({ id }) => ({ keys: [gapsKey(id)], args: [] }),
  HDEL: ({ id }) => ({ keys: [gapsKey(id)], args: [0] }),
  SADD: ({ id, agentId }) => ({ keys: [runningKey(agentId)], args: [id] }),
  SREM: ({ id, agentId }) => ({ keys: [runningKey(agentId)], args: [id] }),
  UNLINK: (probe) => ({ keys: keysOf(probe), args: [] }),
}

/**
 * The scripts' commands on their own, so that a refusal names the command. Keys left by an agent that is killed
 * meanwhile expire.
 */
export function commandsInScripts(probe: Probe): RedisCommand[] {
  const running = [runningKey(probe.agentId)]
  return [
    ...Object.entries(IN_SCRIPTS).map(([name, make]) => ({ name: name.toLowerCase(), ...make(probe) })),
    // The set gets a time to live, which later members do not change; real agents' sets have none.
    { name: 'sadd', keys: running, args: [''] },
    { name: 'pexpire', keys: running, args: [60_000] },
  ]
}

/** Deletes the probe's keys, and `others`. */
export function deleteProbe(probe: Probe, others: readonly string[]): RedisCommand {
  return { name: 'unlink', keys: [...keysOf(probe), ...others], args: [] }
}

function keysOf({ id, agentId }: Probe): string[] {
  return [recordKey(id), outputKey(id), gapsKey(id), runningKey(agentId)]
}
