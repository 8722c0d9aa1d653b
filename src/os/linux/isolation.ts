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
import { nearestExisting } from '../nearest-existing.js'
import {
  type CgroupController,
  FUNCTIONS_DIR,
  type FunctionNetwork,
  type InspectedIsolation,
  type Isolation,
  type IsolationOptions,
  type KeptLauncher,
  type Sandboxes,
  type Separation,
} from '../platform.js'
import { aggregateLimits, effectiveLimits } from './aggregate-limits.js'
import { availableControllers, closeCgroups, findCgroupPlace, openCgroups } from './cgroups.js'
import { socketName } from './launcher/connection.js'
import { launchersIn, leftLaunchers } from './launcher/kept-launchers.js'
import { favourOwnSession } from './priority.js'

const { launcher: LAUNCHER, sandbox: SANDBOX } = installation
/** In the folder for the starters' files: how launchers share sandboxes. */
const REGISTRY = 'sandboxes'
const LIMIT_MS = 10_000

/** See Platform.isolate. */
export async function isolate({ separation, ...asked }: IsolationOptions): Promise<Isolation> {
  const { scratchDir, stateDir, tmpdirs: sharedTmpdirs, ...options } = asked
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
      ...(separation && { notSeparate: problem }),
      unenforced: allUnenforced(problem),
    }
  }
  const notSeparate = separation && separationProblem(separation.network)
  const unboundedDisk = separation && !notSeparate && separation.diskBytes > 0 ? diskProblem(stateDir) : undefined
  const sandboxes = separation && !notSeparate ? openSandboxes(separation, scratchDir, !unboundedDisk) : undefined
  const tmpdirs = sandboxes ? join(stateDir, FUNCTIONS_DIR, 'tmp') : sharedTmpdirs
  const noTmpdirs = tmpdirs && passageProblem(tmpdirs)
  const own = tmpdirs && !noTmpdirs ? { tmpdirs } : {}
  const boxes = sandboxes ? { sandboxes } : {}
  const launcher = { kind: 'launcher', program: LAUNCHER, scratchDir, ...own, ...boxes, ...options } as const
  const common = {
    starter: launcher,
    kept,
    ...(notSeparate && { notSeparate }),
    ...(unboundedDisk && { unboundedDisk }),
    ...(noTmpdirs && { noTmpdirs }),
  }
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
  // What it says is believed only where it is still true.
  const left = [...sockets, REGISTRY]
  if (!existsSync(scratchDir)) return
  for (const file of readdirSync(scratchDir)) {
    if (!left.includes(file)) rmSync(join(scratchDir, file), { recursive: true, force: true })
  }
}

function openSandboxes(separation: Separation, scratchDir: string, boundsDisk: boolean): Sandboxes {
  const registry = join(scratchDir, REGISTRY)
  mkdirSync(registry, { recursive: true, mode: 0o700 })
  return { ...separation, ...(boundsDisk ? {} : { diskBytes: 0 }), program: SANDBOX, registry }
}

/** Why this machine cannot keep functions apart. */
function separationProblem(network: FunctionNetwork): string | undefined {
  if (process.getuid?.() !== 0) return 'the agent is not root'
  return sandboxProblem('check', `network=${network}`)
}

/** Why this machine cannot bound what a function keeps on disk. */
function diskProblem(stateDir: string): string | undefined {
  return sandboxProblem('check-disk', `state=${stateDir}`)
}

function sandboxProblem(...args: readonly string[]): string | undefined {
  const { status, stdout, error } = spawnSync(SANDBOX, args, { input: '', timeout: LIMIT_MS, killSignal: 'SIGKILL' })
  if (error) return error.message
  return status === 0 ? undefined : stdout.toString().trim() || `${SANDBOX} failed`
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
export function inspectIsolation(stateDir?: string): InspectedIsolation {
  const problem = launcherProblem()
  if (problem) return { problem, notSeparate: problem, unenforced: allUnenforced(problem) }
  const notSeparate = separationProblem('host')
  const unboundedDisk = notSeparate || stateDir === undefined ? undefined : diskProblem(nearestExisting(stateDir))
  const common = { ...(notSeparate && { notSeparate }), ...(unboundedDisk && { unboundedDisk }) }
  const place = findCgroupPlace()
  if (place.kind === 'none') return { ...common, unenforced: allUnenforced(place.reason) }
  const available = availableControllers(place)
  return {
    ...common,
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
