import type { Probe } from '../probe.js'
import type { Keys } from './keys.js'
import type { RedisCommand } from './pipeline.js'

/** The names of the probe's keys. */
interface ProbeKeys {
  readonly record: string
  readonly output: string
  readonly gaps: string
  readonly running: string
}

/** Arguments for each command that scripts call. Before version 7.2 Redis does not say which of them it refuses. */
export const IN_SCRIPTS: Readonly<
  Record<string, (keys: ProbeKeys, probe: Probe) => Omit<RedisCommand, 'name' | 'script'>>
> = {
  SET: ({ record }) => ({ keys: [record], args: ['{}', 'NX', 'PX', 60_000] }),
  GET: ({ record }) => ({ keys: [record], args: [] }),
  EXISTS: ({ record }) => ({ keys: [record], args: [] }),
  TYPE: ({ record }) => ({ keys: [record], args: [] }),
  PTTL: ({ record }) => ({ keys: [record], args: [] }),
  PEXPIRE: ({ record }) => ({ keys: [record], args: [60_000] }),
  DEL: ({ record }) => ({ keys: [record], args: [] }),
  STRLEN: ({ output }) => ({ keys: [output], args: [] }),
  SETRANGE: ({ output }) => ({ keys: [output], args: [0, ''] }),
  HSET: ({ gaps }) => ({ keys: [gaps], args: [0, 1] }),
  HGETALL: ({ gaps }) => ({ keys: [gaps], args: [] }),
  HDEL: ({ gaps }) => ({ keys: [gaps], args: [0] }),
  SADD: ({ running }, { id }) => ({ keys: [running], args: [id] }),
  SREM: ({ running }, { id }) => ({ keys: [running], args: [id] }),
  UNLINK: ({ record, output, gaps, running }) => ({ keys: [record, output, gaps, running], args: [] }),
}

/**
 * The scripts' commands on their own, so that a refusal names the command. Keys left by an agent that is killed
 * meanwhile expire.
 */
export function commandsInScripts(keys: Keys, probe: Probe): RedisCommand[] {
  const own = keysOf(keys, probe)
  const running = [own.running]
  return [
    ...Object.entries(IN_SCRIPTS).map(([name, make]) => ({ name: name.toLowerCase(), ...make(own, probe) })),
    // The set gets a time to live, which later members do not change; real agents' sets have none.
    { name: 'sadd', keys: running, args: [''] },
    { name: 'pexpire', keys: running, args: [60_000] },
  ]
}

/** Deletes the probe's keys, and `others`. */
export function deleteProbe(keys: Keys, probe: Probe, others: readonly string[]): RedisCommand[] {
  return [...Object.values(keysOf(keys, probe)), ...others].map((key) => ({ name: 'unlink', keys: [key], args: [] }))
}

function keysOf(keys: Keys, { id, agentId }: Probe): ProbeKeys {
  return {
    record: keys.record(id),
    output: keys.output(id),
    gaps: keys.gaps(id),
    running: keys.running(agentId, id),
  }
}
