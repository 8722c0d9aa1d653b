import { openAppsFolder, tmpFolder } from '../../host/apps-folder.js'
import { type LimitPolicy, unenforcedLimits } from '../../host/limits.js'
import { lockStateDir } from '../../host/lock.js'
import { commandedByFunctions, resolveRunAs } from '../../host/run-as.js'
import { runFolder } from '../../host/run-folder.js'
import { exposureWarnings } from '../../host/secrets.js'
import { claimStateFormat, tryStateDir } from '../../host/state-format.js'
import { platform } from '../../os/index.js'
import type { RunAs, StarterSetup } from '../../os/platform.js'
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
  for (const warning of exposureWarnings(config, runAs)) log.warn(warning)
  const tls = serverCredentials(config.tls, (problem) => log.warn(problem))
  closers.add(() => tls.close())

  const { required, ...confinement } = config.isolation
  const isolation = await platform.isolate({
    stateDir,
    scratchDir,
    tmpdirs: tmpFolder(appsDir),
    surviveMs: config.surviveSeconds * 1000,
    ...confinement,
  })
  closers.add(() => platform.release(isolation))
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
  const users: FunctionUsers = runAs ? { kind: 'shared', runAs } : { kind: 'agent' }
  const limits = { required, unenforced: isolation.unenforced }
  return { runAs, users, appsDir, tls, starter, limits, survives, kept }
}
