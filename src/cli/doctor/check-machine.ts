import { existsSync } from 'node:fs'
import { access, constants, stat } from 'node:fs/promises'
import { userInfo } from 'node:os'
import type { AgentConfig } from '../../config/config.js'
import { appsFolder, appsProblem, hole, replaceable } from '../../host/apps-folder.js'
import { commandedByFunctions, rootProblem } from '../../host/run-as.js'
import { tryStateDir } from '../../host/state-format.js'
import { uidsProblem } from '../../host/uid-range.js'
import { platform } from '../../os/index.js'
import { nearestExisting } from '../../os/nearest-existing.js'
import { systemFailure } from '../../os/system-failure.js'
import { type Finding, fail, ok, warn } from './finding.js'

/** The oldest version allowed by `engines` in package.json. */
const OLDEST_NODE = [20, 19] as const

/** Checks the version of Node. */
export function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST_NODE
  if (major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)) return ok('node', process.version)
  return fail('node', `${process.version} is too old`, `install Node ${OLDEST_NODE.join('.')} or newer`)
}

/** Checks whether functions can run as the configured user. */
export function checkUser(config: AgentConfig): Finding[] {
  const { runAs, allowRoot } = config
  const self = process.platform === 'win32' ? 'this user' : userInfo().username
  const root = platform.canSwitchUser()
  if (runAs.kind === 'self') {
    if (!root) return [ok('user', `functions run as the agent's own user, ${self}`)]
    return [warn('user', `functions run as ${self}, with all its rights`, 'set run_as to a user of their own')]
  }
  const user = platform.findUser(runAs.name)
  if (!user) return [fail('user', `there is no user ${runAs.name}`, platform.createUserHint(runAs.name))]
  if (root && user.uid === 0 && !allowRoot) return [fail('user', rootProblem(user.name), 'correct run_as')]
  if (root) {
    const commanded = commandedByFunctions(config, user)
    const found = [ok('user', `functions run as ${user.name} (uid ${user.uid})`), ...checkUids(config)]
    return commanded ? [...found, warn('tls', commanded)] : found
  }
  return [fail('user', `${self} cannot start processes as ${user.name}`, 'run the agent as root, or set run_as: self')]
}

/** Checks that the users of separate functions are nobody else. */
function checkUids({ functions: { separate, uids } }: AgentConfig): Finding[] {
  if (!separate || process.platform !== 'linux') return []
  const problem = uidsProblem(uids)
  return problem ? [fail('uids', `functions.uids: ${problem.message}`, problem.fix)] : []
}

/** Checks that the agent can write its state and apps folders, and functions cannot. */
export async function checkFolders(config: AgentConfig): Promise<Finding[]> {
  const runner = config.runAs.kind === 'user' ? platform.findUser(config.runAs.name) : undefined
  const apps = appsFolder(config, runner)
  const state = await checkState(config.stateDir)
  if (!runner || !platform.canSwitchUser()) return [state, await checkFolder('apps', apps)]
  const problem = appsProblem(apps, runner)
  if (problem) return [state, fail('apps', problem.message, problem.fix)]
  const holes = replaceable(apps, runner)
  return [state, await checkFolder('apps', apps), ...holes.map((folder) => warn('apps', hole(apps, folder, runner)))]
}

async function checkState(path: string): Promise<Finding> {
  const found = await checkFolder('state', path)
  if (found.level !== 'ok' || !existsSync(path)) return found
  try {
    tryStateDir(path)
    return found
  } catch (error) {
    return fail('state', systemFailure(error) ?? String(error), 'or configure another state_dir')
  }
}

async function checkFolder(subject: string, path: string): Promise<Finding> {
  const existing = nearestExisting(path)
  const fix = `make ${existing} a folder that ${userInfo().username} can write, or configure another one`
  if (!(await stat(existing)).isDirectory()) return fail(subject, `${existing} is not a folder`, fix)
  try {
    await access(existing, constants.W_OK | constants.X_OK)
  } catch (error) {
    return fail(subject, `${path} cannot be written (${(error as NodeJS.ErrnoException).code})`, fix)
  }
  return ok(subject, existing === path ? path : `${path}, to be made`)
}
