import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { CgroupController, CgroupParent, Isolation, IsolationOptions } from '../platform.js'
import { availableControllers, type CgroupPlace, closeCgroups, findCgroupPlace, openCgroups } from './cgroups.js'

/** Where the build puts the program. */
const LAUNCHER = fileURLToPath(new URL('./launcher', import.meta.url))
/** Of the frames in launcher.h. */
const PROTOCOL_VERSION = 1
const LIMIT_MS = 10_000

/** See Platform.isolate. */
export async function isolate({ scratchDir, stateDir, ...options }: IsolationOptions): Promise<Isolation> {
  const problem = launcherProblem()
  if (problem) {
    return { starter: { kind: 'child_process', scratchDir }, problem, unkept: allUnkept(problem) }
  }
  const launcher = { kind: 'launcher', program: LAUNCHER, ...options } as const
  const opened = await open(stateDir)
  if (typeof opened === 'string') return { starter: launcher, unkept: allUnkept(opened) }
  return { starter: { ...launcher, cgroups: opened }, unkept: unkeptBelow(opened.dir, opened.controllers) }
}

/** See Platform.inspectIsolation. */
export function inspectIsolation(): Omit<Isolation, 'starter'> & { readonly cgroups?: string } {
  const problem = launcherProblem()
  if (problem) return { problem, unkept: allUnkept(problem) }
  const place = findCgroupPlace()
  if (place.kind === 'none') return { unkept: allUnkept(place.reason) }
  return { cgroups: place.dir, unkept: unkeptBelow(place.dir, availableControllers(place)) }
}

/** See Platform.release. */
export function release({ starter }: Isolation): void {
  if (starter.kind === 'launcher' && starter.cgroups) closeCgroups(starter.cgroups)
}

/** Why functions cannot be started by the launcher here. */
function launcherProblem(): string | undefined {
  if (!existsSync(LAUNCHER)) return 'the launcher is not built: there was no C compiler when this program was built'
  // Its input ends at once, and so does it, once it has said which frames it speaks.
  const { status, stdout, stderr, error } = spawnSync(LAUNCHER, { input: '', timeout: LIMIT_MS })
  const why = error?.message ?? (stderr.toString().trim() || `exit code ${status}`)
  if (error || status !== 0 || stdout.length < 24) return `the launcher does not run here: ${why}`
  const version = stdout.readUInt32LE(16)
  return version === PROTOCOL_VERSION ? undefined : `the launcher is of another version (${version}): build again`
}

/** The folder, or why there is none. */
async function open(stateDir: string): Promise<CgroupParent | string> {
  const place: CgroupPlace = findCgroupPlace()
  if (place.kind === 'none') return place.reason
  try {
    return await openCgroups(place, stateDir)
  } catch (error) {
    return `no cgroup can be made below ${place.dir}: ${(error as Error).message}`
  }
}

function allUnkept(reason: string): Isolation['unkept'] {
  return { memory: reason, cpu: reason, processes: reason }
}

function unkeptBelow(dir: string, controllers: readonly CgroupController[]): Isolation['unkept'] {
  const missing = (controller: CgroupController) => `no ${controller} controller of cgroup v2 in ${dir}`
  return {
    ...(!controllers.includes('memory') && { memory: missing('memory') }),
    ...(!controllers.includes('cpu') && { cpu: missing('cpu') }),
    ...(!controllers.includes('pids') && { processes: missing('pids') }),
  }
}
