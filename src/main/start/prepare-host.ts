import { statSync } from 'node:fs'
import { join } from 'node:path'
import type { AgentConfig } from '../../config/config.js'
import { openAppsFolder, tmpFolder } from '../../host/apps-folder.js'
import { type LimitPolicy, unenforcedLimits } from '../../host/limits.js'
import { lockStateDir } from '../../host/lock.js'
import { mayWrite } from '../../host/permissions.js'
import { commandedByFunctions, resolveRunAs } from '../../host/run-as.js'
import { runFolder } from '../../host/run-folder.js'
import { exposureWarnings } from '../../host/secrets.js'
import { StartRefused } from '../../host/start-refused.js'
import { claimStateFormat, tryStateDir } from '../../host/state-format.js'
import { refuseTakenUids } from '../../host/uid-range.js'
import type { Log } from '../../log/log.js'
import { platform } from '../../os/index.js'
import { FUNCTIONS_DIR, type RunAs, type Separation, type StarterSetup } from '../../os/platform.js'
import type { FunctionUsers } from '../../threads/messages.js'
import { type ReloadingCredentials, serverCredentials } from '../../tls/credentials.js'
import { type KeptExecutions, keptExecutions } from '../executions/kept-executions.js'
import type { StartContext } from './context.js'

/** This machine, prepared for the agent. */
export interface Host {
  /** Undefined where functions run as the agent's own user. */
  readonly runAs: RunAs | undefined
  readonly users: FunctionUsers
  /** Absolute path of the folder for deployed code. */
  readonly appsDir: string
  readonly tls: ReloadingCredentials
  readonly starter: StarterSetup
  readonly limits: LimitPolicy
  /** Whether async executions outlive the agent. */
  readonly survives: boolean
  /** Executions that an earlier agent has left running. */
  readonly kept: readonly KeptExecutions[]
}

/**
 * Locks the state folder, opens the other folders, and prepares how functions are isolated. Rejects with StartRefused
 * and system errors.
 */
export async function prepareHost({ config, log, closers }: StartContext): Promise<Host> {
  const { stateDir } = config
  const runAs = resolveRunAs(config, log)
  const commanded = commandedByFunctions(config, runAs)
  if (commanded) log.warn(commanded)
  closers.add(lockStateDir(stateDir))
  tryStateDir(stateDir)
  claimStateFormat(config)
  const scratchDir = runFolder(stateDir)
  // Before anything is started: invalid files refuse the start.
  const appsDir = openAppsFolder(config, runAs, log)
  const tls = serverCredentials(config.tls, (problem) => log.warn(problem))
  closers.add(() => tls.close())

  const { required, ...confinement } = config.isolation
  const separation = separationOf(config, runAs, appsDir)
  if (separation) refuseTakenUids(config)
  const isolation = await platform.isolate({
    stateDir,
    ...(separation && { separation }),
    scratchDir,
    tmpdirs: tmpFolder(appsDir),
    surviveMs: config.surviveSeconds * 1000,
    ...confinement,
  })
  closers.add(() => platform.release(isolation))
  if (isolation.notSeparate) refuseOrWarn(config, isolation.notSeparate, log)
  if (isolation.unboundedDisk) refuseOrWarnOfDisk(config, isolation.unboundedDisk, log)
  const kept = await keptExecutions(isolation.kept, log)
  closers.add(() => Promise.all(kept.map(({ launcher }) => launcher.leave())))
  if (isolation.problem) {
    log.warn(
      'functions are started by child_process, so that no_new_privileges is not enforced, and a process that leaves its ' +
        `group outlives its execution: ${isolation.problem}`,
    )
  }
  if (isolation.noTmpdirs) log.warn(`functions have no TMPDIR of their own, and share /tmp: ${isolation.noTmpdirs}`)
  for (const line of unenforcedLimits(isolation.unenforced, confinement.maxProcesses)) log.warn(line)
  const { starter } = isolation
  const survives = starter.kind === 'launcher' && starter.surviveMs > 0
  const cgroups = starter.kind === 'launcher' ? starter.cgroups : undefined
  if (cgroups) {
    const { memoryMb, processes } = isolation.aggregate ?? {}
    const together = { memory_mb: memoryMb, processes }
    log.info({ dir: cgroups.dir, controllers: cgroups.controllers, together }, 'every execution gets a cgroup')
  }
  const separate = starter.kind === 'launcher' && starter.sandboxes !== undefined
  const users = usersOf(config, separate && separation ? separation.runAs : runAs, separate)
  for (const warning of exposureWarnings(config, functionOf(users))) log.warn(warning)
  const limits = { required, unenforced: isolation.unenforced }
  return {
    runAs: users.kind === 'agent' ? undefined : users.runAs,
    users,
    appsDir,
    tls,
    starter,
    limits,
    survives,
    kept,
  }
}

/** How functions are to be kept apart; undefined where they are not. */
function separationOf(
  { functions: { separate, tmpBytes, diskBytes, network }, stateDir }: AgentConfig,
  runAs: RunAs | undefined,
  appsDir: string,
): Separation | undefined {
  if (!separate || !runAs) return undefined
  // Where it has no home of its own, as nobody or daemon, functions have one in the agent's folder.
  const home = hasHome(runAs) ? runAs.home : join(stateDir, FUNCTIONS_DIR, 'home')
  return { runAs: { ...runAs, home }, appsDir, stateDir, tmpBytes, diskBytes, network }
}

function refuseOrWarn({ isolation, file = 'configuration' }: AgentConfig, why: string, log: Log): void {
  const missing = `functions cannot be kept apart on this node (${why})`
  if (isolation.required) {
    throw new StartRefused(`${file}: isolation: required: ${missing}; give functions.isolation: shared, or best_effort`)
  }
  log.warn(`${missing}: they run as one user, and can read, change and stop each other`)
}

function refuseOrWarnOfDisk({ isolation, file = 'configuration' }: AgentConfig, why: string, log: Log): void {
  const missing = `functions.disk_bytes cannot be enforced on this node (${why})`
  if (isolation.required) {
    throw new StartRefused(`${file}: isolation: required: ${missing}; give functions.disk_bytes: 0, or best_effort`)
  }
  log.warn(`${missing}: a function can fill the disk`)
}

function usersOf({ functions, stateDir }: AgentConfig, runAs: RunAs | undefined, separate: boolean): FunctionUsers {
  if (!runAs) return { kind: 'agent' }
  if (!separate) return { kind: 'shared', runAs }
  return { kind: 'separate', runAs, folder: join(stateDir, FUNCTIONS_DIR), uids: functions.uids }
}

/** Whether it can keep files in its home, which then is no folder of the system's. */
function hasHome(runAs: RunAs): boolean {
  const found = statSync(runAs.home, { throwIfNoEntry: false })
  return found?.isDirectory() === true && mayWrite(runAs, found)
}

/** Any function, as a user; undefined: the agent's own. */
export function functionOf(users: FunctionUsers): RunAs | undefined {
  if (users.kind === 'agent') return undefined
  const { runAs } = users
  return users.kind === 'shared' ? runAs : { ...runAs, uid: users.uids.first, gid: users.uids.first }
}
