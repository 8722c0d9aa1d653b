import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
} from 'node:fs'
import { dirname, join, relative, sep } from 'node:path'
import { accessFor, grantFolder } from '../archive/access.js'
import type { AgentConfig } from '../config/config.js'
import { placeOf, type Sources } from '../config/sources.js'
import type { Log } from '../log/log.js'
import { makeFolders } from '../os/make-folders.js'
import type { RunAs } from '../os/platform.js'
import { ancestors, mayEnter, mayReplaceIn, realPath } from './permissions.js'
import { StartRefused } from './start-refused.js'

/** With the sticky bit, users who may write to a folder can only rename and remove their own files. */
const HOME_MODE = 0o1770

type AppsConfig = Pick<AgentConfig, 'appsDir' | 'stateDir'> & Sources

/** Why the apps folder cannot be used, and what to do about it. */
export interface AppsProblem {
  readonly message: string
  readonly fix: string
}

/** Absolute path of the folder for deployed code. `runAs` undefined: functions run as the agent's own user. */
export function appsFolder({ appsDir, stateDir }: Omit<AppsConfig, keyof Sources>, runAs: RunAs | undefined): string {
  return appsDir ?? join(runAs?.home ?? stateDir, 'apps')
}

/** The folder for executions' temporary folders. No function can have its name, and nobody else can replace it. */
export function tmpFolder(apps: string): string {
  return join(apps, '.tmp')
}

/**
 * Makes the apps folder, readable by functions and writable by the agent alone; answers its path. By default it is in
 * the runner's home, which is taken from the runner: the owner of a folder could put another `apps` there, and the
 * agent, running as root, would write to it. Throws StartRefused. Blocks; main thread, at the start.
 */
export function openAppsFolder(config: AppsConfig, runAs: RunAs | undefined, log: Log): string {
  const apps = appsFolder(config, runAs)
  if (!runAs || isAgent(runAs)) return apps
  const inHome = isHome(dirname(apps), runAs)
  try {
    // Closing the home is useless where the runner can replace the home itself.
    if (inHome && !ancestors(runAs.home).some((folder) => mayReplaceIn(runAs, statSync(folder)))) closeHome(runAs, log)
    refuseProblem(config, apps, runAs)
    if (inHome) makeFolder(apps)
    else makeFolders(apps)
    // A function may have made what was missing a moment ago.
    refuseProblem(config, apps, runAs)
    const place = inHome ? apps : realPath(apps)
    grantFolder(place, accessFor(runAs.gid))
    for (const folder of replaceable(apps, runAs)) log.warn(hole(apps, folder, runAs))
    return place
  } catch (error) {
    if (error instanceof StartRefused) throw error
    throw refusal(config, `${apps} cannot be kept from functions: ${(error as Error).message}; give another apps_dir`)
  }
}

/** Why a start as root is refused because of the apps folder; undefined where it is not. Changes nothing. */
export function appsProblem(apps: string, runAs: RunAs): AppsProblem | undefined {
  if (isAgent(runAs)) return undefined
  const away = `move it away (mv ${apps} ${apps}.old), or give another apps_dir`
  if (relative(apps, runAs.home).split(sep)[0] !== '..') {
    return { message: `${apps} holds the home of ${runAs.name}`, fix: 'give an apps_dir that holds nothing else' }
  }
  const inHome = isHome(dirname(apps), runAs)
  const found = inHome ? lstatSync(apps, { throwIfNoEntry: false }) : statSync(apps, { throwIfNoEntry: false })
  if (!found) return undefined
  if (found.isSymbolicLink()) return { message: `${apps} is a symbolic link, not a folder`, fix: away }
  if (!found.isDirectory()) return { message: `${apps} is not a folder`, fix: away }
  if (!inHome || found.uid === process.geteuid?.()) return undefined
  return {
    message: `${apps} belongs to user ${found.uid}, not to the agent's, so that functions may have made it`,
    fix: away,
  }
}

/** Existing folders above `apps` in which the runner could replace it, except a home that the start closes. */
export function replaceable(apps: string, runAs: RunAs): string[] {
  return ancestors(apps).filter((folder) => {
    const closed = isHome(folder, runAs) && isHome(dirname(apps), runAs)
    return !closed && mayReplaceIn(runAs, statSync(folder))
  })
}

/** The warning about such a folder, for the log and doctor. */
export function hole(apps: string, folder: string, { name }: RunAs): string {
  return (
    `functions, which run as ${name}, may replace the apps folder ${apps}, as they may write ${folder}: ` +
    `give an apps_dir elsewhere, or chown root ${folder} and chmod +t ${folder}`
  )
}

function closeHome(runAs: RunAs, log: Log): void {
  const { name, home, gid } = runAs
  makeFolders(dirname(home))
  const made = makeFolder(home)
  const fd = openSync(home, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const found = fstatSync(fd)
    const agent = process.geteuid?.() ?? 0
    // Some system users have a home such as /usr/sbin, which is safe and must not be changed.
    if (!made && found.uid === agent && !mayReplaceIn(runAs, found) && mayEnter(runAs, found)) return
    fchownSync(fd, agent, gid)
    fchmodSync(fd, HOME_MODE)
  } finally {
    closeSync(fd)
  }
  const change = made ? 'was made' : 'belongs to the agent from now on'
  log.warn(
    `${home}, the home of ${name}, ${change} with mode ${HOME_MODE.toString(8)}: ` +
      'functions can make files in it, but not put another apps folder in place',
  )
}

function makeFolder(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return false
  }
}

function isHome(folder: string, { home }: RunAs): boolean {
  return realPath(folder) === realPath(home)
}

/** Whether functions run as the agent's own user, so that no mode keeps them out. */
function isAgent({ uid }: RunAs): boolean {
  return uid === process.geteuid?.()
}

function refuseProblem(config: AppsConfig, apps: string, runAs: RunAs): void {
  const problem = appsProblem(apps, runAs)
  if (problem) throw refusal(config, `${problem.message}; ${problem.fix}`)
}

function refusal(config: AppsConfig, message: string): StartRefused {
  return new StartRefused(`${placeOf(config, 'apps_dir')}: ${message}`)
}
