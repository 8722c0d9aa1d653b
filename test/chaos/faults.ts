import { readdirSync } from 'node:fs'
import { eventually } from '../../harness/eventually.js'
import { launchersOf } from '../../harness/launchers.js'
import { limitDescriptors } from '../support/descriptor-limit.js'
import type { Random } from './random.js'
import type { Site } from './site.js'

/** Sets right again what a fault has broken. Until it resolves, the fault may be why executions fail. */
type Heal = () => void | Promise<void>

interface Fault {
  readonly name: string
  readonly weight: number
  readonly longestMs: number
  readonly possible: (site: Site) => boolean
  readonly begin: (site: Site, random: Random, lastsMs: number) => Heal | Promise<Heal>
}

export const PAUSE = 'agent paused'
export const KILL = 'agent killed'
export const STOP = 'agent stopped'
export const LAUNCHER_KILL = 'launcher killed'
export const LAUNCHER_PAUSE = 'launcher paused'
export const FORGET = 'Redis forgets'
export const DISK_FULL = 'disk full'
export const DESCRIPTORS = 'descriptors used up'

const ENOUGH_DESCRIPTORS = 10_000
/** For an agent to act on a signal, or on a launcher's death. It may be paused meanwhile, several times. */
const ACT_SECONDS = 45

const always = () => true
const withRedis = ({ redis }: Site) => redis !== undefined
const nothing = () => {}

/** A signal to some or all of the launchers there are. */
function toLaunchers({ agent }: Site, random: Random, signal: NodeJS.Signals): number[] {
  const pids = agent.pid === undefined ? [] : launchersOf(agent.pid)
  const met = random.chance(0.3) ? pids : pids.slice(0, 1)
  for (const pid of met) tell(pid, signal)
  return met
}

/** Before, it starts executions through launchers that are dead. */
async function untilReaped(agentPid: number, dead: readonly number[]): Promise<void> {
  const isReaped = () => !launchersOf(agentPid).some((pid) => dead.includes(pid))
  await eventually('the agent reaps a launcher that was killed', isReaped, ACT_SECONDS)
}

function tell(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}

const spoilt = (
  name: string,
  weight: number,
  passage: (random: Random) => Parameters<typeof setPassage>[1],
): Fault => ({
  name,
  weight,
  longestMs: 6_000,
  possible: withRedis,
  begin: (site, random) => {
    setPassage(site, passage(random))
    return () => {
      // A network that is back has either kept its connections or not.
      if (random.chance(0.5)) site.network?.cut()
      setPassage(site, { kind: 'open' })
    }
  },
})

function setPassage({ network }: Site, passage: NonNullable<Site['network']>['passage']): void {
  if (network) network.passage = passage
}

export const FAULTS: readonly Fault[] = [
  {
    name: KILL,
    weight: 6,
    longestMs: 2_500,
    possible: always,
    begin: ({ agent }, _, lastsMs) => {
      agent.end('SIGKILL', lastsMs)
      return nothing
    },
  },
  {
    name: STOP,
    weight: 4,
    longestMs: 1_000,
    possible: always,
    begin: ({ agent }, random, lastsMs) => {
      const { pid } = agent
      // One that is paused does not hear it.
      agent.end('SIGTERM', lastsMs)
      if (random.chance(0.3)) setTimeout(() => agent.signal('SIGTERM'), lastsMs / 2).unref()
      return async () => {
        // What it accepts before it hears it, it stops.
        if (pid !== undefined) await eventually('the agent stops', () => agent.pid !== pid, ACT_SECONDS)
      }
    },
  },
  {
    name: PAUSE,
    weight: 5,
    longestMs: 4_000,
    possible: always,
    begin: ({ agent }) => {
      agent.signal('SIGSTOP')
      return () => agent.signal('SIGCONT')
    },
  },
  {
    name: LAUNCHER_KILL,
    weight: 3,
    longestMs: 1,
    possible: always,
    begin: (site, random) => {
      const { pid } = site.agent
      const dead = toLaunchers(site, random, 'SIGKILL')
      return () => (pid === undefined ? undefined : untilReaped(pid, dead))
    },
  },
  {
    name: LAUNCHER_PAUSE,
    weight: 2,
    longestMs: 3_000,
    possible: always,
    begin: (site, random) => {
      const paused = toLaunchers(site, random, 'SIGSTOP')
      return () => {
        for (const pid of paused) tell(pid, 'SIGCONT')
      }
    },
  },
  {
    name: 'reload',
    weight: 2,
    longestMs: 1,
    possible: always,
    begin: ({ agent }, random) => {
      agent.reload({
        max_tasks: random.pick([0, 6, 12]),
        store_backlog_bytes: random.pick(['8MiB', '256MiB']),
        drain_seconds: random.pick([0, 1, 3]),
        log_level: random.pick(['info', 'debug']),
      })
      return nothing
    },
  },
  {
    name: DISK_FULL,
    weight: 3,
    longestMs: 5_000,
    possible: ({ disk }) => disk !== undefined,
    begin: ({ disk }, random) => {
      disk?.fill(random.pick([0, 65_536, 1_048_576]))
      return () => disk?.free()
    },
  },
  {
    name: DESCRIPTORS,
    weight: 2,
    longestMs: 4_000,
    possible: always,
    begin: ({ agent }, random) => {
      const { pid } = agent
      if (pid === undefined) return nothing
      limitDescriptors(pid, readdirSync(`/proc/${pid}/fd`).length + random.pick([0, 2, 8]))
      return () => limitDescriptors(pid, ENOUGH_DESCRIPTORS)
    },
  },
  {
    name: 'Redis killed',
    weight: 4,
    longestMs: 6_000,
    possible: withRedis,
    begin: async ({ redis }) => {
      await redis?.halt()
      return () => redis?.restart()
    },
  },
  {
    name: FORGET,
    weight: 1,
    longestMs: 3_000,
    possible: withRedis,
    begin: async ({ redis }) => {
      await redis?.halt()
      redis?.forget()
      return () => redis?.restart()
    },
  },
  {
    name: 'Redis paused',
    weight: 4,
    longestMs: 6_000,
    possible: withRedis,
    begin: ({ redis }) => {
      redis?.pause()
      return () => redis?.resume()
    },
  },
  {
    name: 'Redis full',
    weight: 3,
    longestMs: 5_000,
    possible: withRedis,
    begin: async ({ redis }) => {
      await configure(redis, '1')
      return () => configure(redis, '0')
    },
  },
  {
    name: 'connections cut',
    weight: 4,
    longestMs: 3_000,
    possible: withRedis,
    begin: ({ network }) => {
      if (network) network.refusing = true
      network?.cut()
      return () => {
        if (network) network.refusing = false
      }
    },
  },
  spoilt('network blocked', 3, () => ({ kind: 'blocked' })),
  spoilt('answers lost', 3, () => ({ kind: 'mute' })),
  spoilt('network slow', 3, (random) => ({ kind: 'slow', ms: random.pick([20, 200, 1_200]) })),
]

/** One that does not run has no limit. */
async function configure(redis: Site['redis'], maxmemory: string): Promise<void> {
  if (!redis?.running) return
  const set = redis.with((client) => client.config('SET', 'maxmemory', maxmemory, 'maxmemory-policy', 'noeviction'))
  // One that is paused answers when it goes on.
  await Promise.race([set.catch(nothing), new Promise((resolve) => setTimeout(resolve, 500).unref())])
}
