import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, mkdirSync, realpathSync, rmdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { CgroupController, CgroupParent } from '../platform.js'
import { aggregateLimits } from './aggregate-limits.js'
import { childrenOf, emptied, enableControllers, killCgroup, removeTree } from './cgroup-files.js'
import { cgroupMounts, currentCgroup, type Mount, readOr } from './cgroup-mounts.js'
import type { CgroupPlace } from './cgroup-place.js'
import { favourCgroup } from './priority.js'

const CONTROLLERS: readonly CgroupController[] = ['memory', 'cpu', 'pids']
/** The agent's own leaf: a cgroup with controllers enabled for its children may not contain processes (cgroups(7)). */
const LEAF = 'agent'
const EXECUTIONS = 'executions'
/** That of the launchers, which outlive the agent. */
const LAUNCHERS = 'launchers'
/** Used where the agent cannot use its own cgroup; the control plane knows this name. */
const SHARED = 'flux'

/** Finds the place; changes nothing. */
export function findCgroupPlace(): CgroupPlace {
  const mounts = cgroupMounts()
  if (mounts.length === 0) return { kind: 'none', reason: 'no cgroup2 file system is mounted' }
  for (const mount of mounts) {
    const own = ownCgroup(mount)
    const unit = own && unitOfExecutions(own)
    if (unit && isWritable(unit)) return { kind: 'unit', dir: unit }
    if (own && isWritable(own)) return { kind: 'own', dir: own }
    if (isWritable(mount.dir)) return { kind: 'shared', dir: mount.dir }
  }
  const [{ dir }] = mounts as [Mount]
  return { kind: 'none', reason: `${dir} cannot be written: run the agent as root, or give its unit Delegate=yes` }
}

/** The controllers available there. */
export function availableControllers({ dir }: { readonly dir: string }): CgroupController[] {
  const names = readOr(join(dir, 'cgroup.controllers'), '').trim().split(' ')
  return CONTROLLERS.filter((controller) => names.includes(controller))
}

/**
 * Makes the folder for this agent's executions' cgroups, named after `stateDir`, and kills and removes what a crash
 * left in it, but for the cgroups of these launchers. Moves the agent into a leaf where needed. Main thread, before the
 * first launcher. Throws the system's error.
 */
export async function openCgroups(
  place: CgroupPlace & { readonly dir: string },
  stateDir: string,
  launchers: readonly string[],
): Promise<CgroupParent> {
  if (place.kind === 'own') moveIntoLeaf(place.dir)
  const launchersDir = join(place.dir, LAUNCHERS)
  const own = place.kind === 'shared' ? {} : { launchers: launchersDir }
  if (own.launchers) mkdirSync(launchersDir, { recursive: true })
  let controllers = enableControllers(place.dir, availableControllers(place))
  if (place.kind === 'own') favourCgroup(join(place.dir, LEAF))
  const aggregate = aggregateLimits(place, controllers)
  const dir = cgroupFolder(place, stateDir)
  for (const folder of [dirname(dir), dir]) {
    mkdirSync(folder, { recursive: true })
    controllers = enableControllers(folder, controllers)
  }
  await removeLeftovers(dir, launchers)
  return { dir, controllers, aggregate, ...own }
}

/** The folder that `openCgroups` makes for the agent with this state folder, which must exist. */
export function cgroupFolder(place: CgroupPlace & { readonly dir: string }, stateDir: string): string {
  // Another agent may have been started in the same leaf, so the name is needed in both places.
  return join(place.dir, place.kind === 'shared' ? SHARED : EXECUTIONS, nameOf(stateDir))
}

/** Removes the folder, unless these launchers still have cgroups in it. It must not contain other processes. */
export function closeCgroups(parent: Pick<CgroupParent, 'dir' | 'launchers'>, launchers: readonly string[]): void {
  const { dir } = parent
  for (const name of childrenOf(dir)) if (!launchers.includes(name)) removeTree(join(dir, name))
  if (launchers.length > 0) return
  removeTree(dir)
  if (parent.launchers) removeTree(parent.launchers)
  try {
    rmdirSync(dirname(dir))
  } catch {
    // Another agent still uses it.
  }
}

/** All at once, so that several stuck ones delay the start no longer than one. */
async function removeLeftovers(dir: string, launchers: readonly string[]): Promise<void> {
  const names = childrenOf(dir).filter((name) => !launchers.includes(name))
  const left = names.map((name) => join(dir, name))
  for (const cgroup of left) killCgroup(cgroup)
  await Promise.all(left.map(emptied))
  for (const cgroup of left) removeTree(cgroup)
}

/** The agent's own cgroup, if it contains no other process and is not the root of the hierarchy. */
function ownCgroup(mount: Mount): string | undefined {
  const current = currentCgroup(mount)
  if (current === undefined) return undefined
  // The leaf of an agent that executed this one, or started it.
  if (basename(current) === LEAF && existsSync(join(dirname(current), EXECUTIONS))) return dirname(current)
  if (!existsSync(join(current, 'cgroup.type'))) return undefined
  return readOr(join(current, 'cgroup.procs'), '').trim() === String(process.pid) ? current : undefined
}

/** The cgroup beside that of the agent's unit, where there is one. */
function unitOfExecutions(own: string): string | undefined {
  const unit = own.replace(/\.service$/, '-executions.service')
  return unit !== own && existsSync(unit) ? unit : undefined
}

function moveIntoLeaf(own: string): void {
  mkdirSync(join(own, LEAF), { recursive: true })
  writeFileSync(join(own, LEAF, 'cgroup.procs'), String(process.pid))
}

/** The same at every start of one agent, and different for others. */
function nameOf(stateDir: string): string {
  return createHash('sha256').update(realpathSync(stateDir)).digest('hex').slice(0, 12)
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK)
    accessSync(join(dir, 'cgroup.procs'), constants.W_OK)
    return true
  } catch {
    return false
  }
}
