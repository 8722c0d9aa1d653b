import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  FRAME_BYTES,
  PROTOCOL_VERSION,
  READY_EVENT_AT,
  READY_EVENT_BYTES,
} from '../../generated/native/launcher-protocol.js'
import { installation } from '../../installation.js'
import type { CgroupController, Isolation, IsolationOptions, KeptLauncher } from '../platform.js'
import { aggregateLimits, effectiveLimits } from './aggregate-limits.js'
import { availableControllers, closeCgroups, findCgroupPlace, openCgroups } from './cgroups.js'
import { socketName } from './launcher/connection.js'
import { launchersIn, leftLaunchers } from './launcher/kept-launchers.js'
import { favourOwnSession } from './priority.js'

const { launcher: LAUNCHER } = installation
const LIMIT_MS = 10_000

/** See Platform.isolate. */
export async function isolate({ scratchDir, stateDir, tmpdirs, ...options }: IsolationOptions): Promise<Isolation> {
  favourOwnSession()
  const problem = launcherProblem()
  const kept = await leftLaunchers(scratchDir)
  const found = kept.launchers
  clean(scratchDir, found)
  if (problem) {
    await Promise.all(found.map((launcher) => launcher.end()))
    return {
      starter: { kind: 'child_process', scratchDir },
      kept: { ...kept, launchers: [] },
      problem,
      unenforced: allUnenforced(problem),
    }
  }
  const noTmpdirs = tmpdirs && passageProblem(tmpdirs)
  const own = tmpdirs && !noTmpdirs ? { tmpdirs } : {}
  const launcher = { kind: 'launcher', program: LAUNCHER, scratchDir, ...own, ...options } as const
  const common = { starter: launcher, kept, ...(noTmpdirs && { noTmpdirs }) }
  const place = findCgroupPlace()
  if (place.kind === 'none') return { ...common, unenforced: allUnenforced(place.reason) }
  try {
    const cgroups = await openCgroups(
      place,
      stateDir,
      found.map(({ name }) => name),
    )
    return {
      ...common,
      starter: { ...launcher, cgroups },
      unenforced: unenforcedBelow(place, cgroups.controllers),
      aggregate: effectiveLimits(place, cgroups.aggregate),
    }
  } catch (error) {
    const reason = `no cgroup can be made below ${place.dir}: ${(error as Error).message}`
    return { ...common, unenforced: allUnenforced(reason) }
  }
}

/** Removes what an earlier agent's starters have left, but for the sockets of launchers. */
function clean(scratchDir: string, kept: readonly KeptLauncher[]): void {
  const sockets = kept.map(({ name }) => socketName(name))
  if (!existsSync(scratchDir)) return
  for (const file of readdirSync(scratchDir)) {
    if (!sockets.includes(file)) rmSync(join(scratchDir, file), { recursive: true, force: true })
  }
}

/** Makes a folder that others can pass through but not list; answers why that fails. */
function passageProblem(dir: string): string | undefined {
  try {
    // Missing parents are made private.
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    chmodSync(dir, 0o711)
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** See Platform.inspectIsolation. */
export function inspectIsolation(): Omit<Isolation, 'starter' | 'kept'> & { readonly cgroups?: string } {
  const problem = launcherProblem()
  if (problem) return { problem, unenforced: allUnenforced(problem) }
  const place = findCgroupPlace()
  if (place.kind === 'none') return { unenforced: allUnenforced(place.reason) }
  const available = availableControllers(place)
  return {
    cgroups: place.dir,
    unenforced: unenforcedBelow(place, available),
    aggregate: effectiveLimits(place, aggregateLimits(place, available)),
  }
}

/** See Platform.release. */
export function release({ starter }: Isolation): void {
  if (starter.kind === 'launcher' && starter.cgroups) closeCgroups(starter.cgroups, launchersIn(starter.scratchDir))
}

/** Why the launcher cannot be used here. */
function launcherProblem(): string | undefined {
  if (!existsSync(LAUNCHER)) return 'the launcher is not built: there was no C compiler when this program was built'
  // With empty input it reports its protocol version and exits.
  const { status, stdout, stderr, error } = spawnSync(LAUNCHER, { input: '', timeout: LIMIT_MS, killSignal: 'SIGKILL' })
  const why = error?.message ?? (stderr.toString().trim() || `exit code ${status}`)
  if (error || status !== 0 || stdout.length < FRAME_BYTES + READY_EVENT_BYTES)
    return `the launcher does not run here: ${why}`
  const version = stdout.readUInt32LE(FRAME_BYTES + READY_EVENT_AT.version)
  return version === PROTOCOL_VERSION ? undefined : `the launcher is of another version (${version}): build again`
}

function allUnenforced(reason: string): Isolation['unenforced'] {
  return { memory: reason, cpu: reason, processes: reason }
}

function unenforcedBelow(
  place: { readonly dir: string },
  enabled: readonly CgroupController[],
): Isolation['unenforced'] {
  const available = availableControllers(place)
  const missing = (controller: CgroupController) =>
    available.includes(controller)
      ? `the ${controller} controller of cgroup v2 cannot be enabled below ${place.dir}`
      : `no ${controller} controller of cgroup v2 in ${place.dir}`
  return {
    ...(!enabled.includes('memory') && { memory: missing('memory') }),
    ...(!enabled.includes('cpu') && { cpu: missing('cpu') }),
    ...(!enabled.includes('pids') && { processes: missing('pids') }),
  }
}
