import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../../harness/eventually.js'
import { allProcesses } from '../../harness/proc.js'
import { answer } from '../../src/cli/connection.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { KILL, LAUNCHER_KILL, STOP } from './faults.js'
import { FUNCTIONS } from './functions.js'
import type { History, Track } from './history.js'
import type { Load } from './load.js'
import { forgotten, supersededBy } from './output.js'
import type { Site } from './site.js'

const SETTLE_SECONDS = 40
/** How long after its end an execution's outcome may still be lost with the agent. */
const STORED_WITHIN_MS = 3_000

/** What functions themselves have left word of. */
interface Journal {
  readonly starts: number
  readonly ended: boolean
  /** When it was about to end, as performance.now(). */
  readonly endedAt?: number
}

/** Waits until nothing runs any more, and ends what would run for long. */
export async function settle(site: Site, history: History, load: Load): Promise<void> {
  // Also those of which neither the start nor a cancel was answered: they may run.
  const open = new Set(history.tracks.values())
  const begun = performance.now()
  await eventually(
    'every execution has ended',
    async () => {
      for (const track of open) {
        const record = track.final ? undefined : await load.look(track)
        const hasNotRun = track.accepted === 0 && record?.refused
        if (track.final || record === undefined || hasNotRun) open.delete(track)
        else if (track.shape.long || performance.now() - begun > 10_000) {
          track.cancelSentAt ??= performance.now()
          await site.agent.calls.cancel(track.id)
        }
      }
      return open.size === 0 && (await site.agent.calls.status()).active_tasks === 0
    },
    SETTLE_SECONDS,
  ).catch((error: Error) => {
    for (const { id } of open) history.violate('an execution that does not end', error.message, id)
    if (open.size === 0) history.violate('slots that are not given back', error.message)
  })
}

/** Of executions, once all have ended. */
export async function checkExecutions(site: Site, history: History, load: Load): Promise<void> {
  const alive = livingExecutions()
  for (const track of history.tracks.values()) {
    const journal = readJournal(site, track.id)
    if (journal.starts > 1) history.violate('an id that ran twice', `${journal.starts} times`, track.id)
    if (track.accepted + track.ran > 1) history.violate('an id that was accepted twice', '', track.id)
    for (const process of alive.get(track.id) ?? []) history.violate('alive after its end', process, track.id)
    // Bounded, as thousands of megabytes are more than a round has time for.
    const record = track.shape.name === 'big' && track.final ? track.final : await load.look(track)
    if (
      record === undefined &&
      (track.accepted > 0 || (journal.starts > 0 && !track.sentSync)) &&
      !forgotten(history, track)
    )
      history.violate('accepted, or run, without a record', `${journal.starts} starts`, track.id)
    const untrue = track.final && untruth(history, track, journal)
    if (untrue) history.violate('a status that is not true', untrue, track.id)
  }
}

/** Why a final status cannot be what happened. */
function untruth(history: History, track: Track, journal: Journal): string | undefined {
  const { status, error } = track.final ?? { status: '', error: '' }
  const told = `${status} (${error})`
  const during = (...names: string[]) => history.touched(track.sentAt, track.final?.at ?? 0, ...names)
  if (status === 'success') return journal.ended && track.shape.exitCode === 0 ? undefined : `${told}, which it has not`
  if (status === 'cancelled') return track.cancelSentAt === undefined ? `${told}, by nobody` : undefined
  if (/^exit code 3$/.test(error)) return journal.ended && track.shape.exitCode === 3 ? undefined : told
  const blamed = /agent restarted/.test(error) ? [KILL] : /agent stopped/.test(error) ? [STOP] : [LAUNCHER_KILL, KILL]
  if (/agent restarted|agent stopped|launcher has died/.test(error)) {
    if (!during(...blamed, STOP)) return `${told}, without any reason`
    const { endedAt } = journal
    if (endedAt === undefined || history.touchedByAny(endedAt - STORED_WITHIN_MS, endedAt + STORED_WITHIN_MS)) return
    return `${told}, though it had ended by itself long before`
  }
  return history.touchedByAny(track.sentAt - STORED_WITHIN_MS, track.final?.at ?? 0) ? undefined : told
}

function readJournal({ journal }: Site, id: string): Journal {
  const starts = join(journal, `${id}.starts`)
  const ends = join(journal, `${id}.ends`)
  const started = existsSync(starts) ? readFileSync(starts, 'utf8').split('\n').length - 1 : 0
  if (!existsSync(ends)) return { starts: started, ended: false }
  return { starts: started, ended: true, endedAt: statSync(ends).mtimeMs - performance.timeOrigin }
}

/** Processes by the execution that started them. */
function livingExecutions(): Map<string, string[]> {
  const living = new Map<string, string[]>()
  for (const { pid, command, state } of allProcesses()) {
    if (/[ZX]/.test(state)) continue
    const id = /(?:^|\0)FLUX_EXECUTION_ID=([^\0]*)/.exec(environmentOf(pid))?.[1]
    if (id !== undefined) living.set(id, [...(living.get(id) ?? []), `process ${pid} ${command}`])
  }
  return living
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}

/** Which code serves: none that was refused, and none that an acked deploy has replaced. */
export async function checkVersions(site: Site, history: History): Promise<void> {
  for (const { name } of FUNCTIONS) {
    const { output, error } = await site.agent.calls.execute({
      function_name: name,
      // Separate functions cannot write to each other's files.
      args: ['short', `check-${name}`, site.journal],
    })
    const version = /^version (\S+)/.exec(output.toString())?.[1]
    const ofFunction = history.deploys.filter(({ functionName }) => functionName === name)
    const deploy = ofFunction.find((candidate) => candidate.version === version)
    if (!deploy || error !== '') history.violate('a function that does not serve', `${name}: ${error}${output}`)
    else if (deploy.outcome === 'refused') history.violate('a refused deploy serves', `${name} ${version}`)
    else {
      const newer = supersededBy(ofFunction, deploy, Infinity)
      if (newer) history.violate('older code serves', `${name} ${version} instead of ${newer.version}`)
    }
  }
}

/** Of the node, once nothing runs. */
export async function checkNode(site: Site, history: History): Promise<void> {
  const { agent } = site
  const { executions } = await answer<ListExecutionsResponse__Output>((options, done) =>
    agent.operations.listExecutions({}, options, done),
  )
  if (executions.length > 0) history.violate('executions that are listed for ever', JSON.stringify(executions))
  for (const { name } of FUNCTIONS) {
    const versions = join(site.appsDir, name, 'versions')
    await within(history, 'folders of code that are left', () => {
      const left = readdirSync(versions).filter((entry) => entry !== 'current')
      if (left.length > 1) throw new Error(`${name}: ${left}`)
    })
  }
  if (site.redis) await checkRedis(site, history)
}

/** Files of writes; a running agent may keep one that a full disk has not taken, to try again. */
export const leftWrites = ({ stateDir }: Site): string[] => {
  const dir = join(stateDir, 'writes')
  if (!existsSync(dir)) return []
  return readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.writes'))
}

async function checkRedis({ redis }: Site, history: History): Promise<void> {
  await redis?.with(async (client) => {
    const running = await client.keys('flux-agent:running:*')
    for (const key of running) {
      // What a start has left that was killed while it tried the store.
      if ((await client.pttl(key)) > 0) continue
      history.violate('ids that run for ever', `${key}: ${await client.smembers(key)}`)
    }
    for (const key of await client.keys('flux:exec*')) {
      const id = key.slice(key.indexOf(':', 'flux:exec'.length) + 1)
      const ttl = await client.pttl(key)
      if (ttl < 0) history.violate('a key that stays for ever', `${key}, ttl ${ttl}`, id)
      if (!history.tracks.has(id) && !id.startsWith('flux-agent-probe-'))
        history.violate('a record of an id that nobody sent', key)
    }
  })
}

async function within(history: History, kind: string, check: () => void): Promise<void> {
  await eventually(
    kind,
    () => {
      check()
      return true
    },
    10,
  ).catch((error: Error) => history.violate(kind, String((error.cause as Error | undefined)?.message ?? error)))
}
