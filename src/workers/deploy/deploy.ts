import { type Stats, statSync } from 'node:fs'
import { basename, dirname, join, normalize, sep } from 'node:path'
import type { Access } from '../../archive/access.js'
import { readEntries } from '../../archive/entries.js'
import { extract } from '../../archive/extract.js'
import { Links } from '../../archive/links.js'
import { unwrapForm } from '../../archive/multipart.js'
import { suggest } from '../../archive/nearest.js'
import { componentProblem, pathProblem, programPathProblem } from '../../archive/path-rules.js'
import { ArchiveRefused, quote, refuseSystemError } from '../../archive/refused.js'
import { buildTree, describe, type FileNode, type Tree } from '../../archive/tree.js'
import type {
  AppsCheck,
  AppsFound,
  CodeVersion,
  DeployRefused,
  DeployTask,
  HandlerCheck,
  PreparedVersion,
  PrepareResult,
  ServingVersion,
  VersionRemoval,
} from '../../threads/messages.js'
import { cacheOf, removeCache, staleCaches } from './code-caches.js'
import { accessOf, equipped, hasCaches, type Owner, ownerOf, ownersOf } from './owners.js'
import { programWarnings } from './program-warnings.js'
import { regroup } from './regroup.js'
import {
  cleanVersions,
  createVersion,
  currentVersion,
  digestOf,
  discardVersion,
  prepareSwitch,
  removeVersion as removeCode,
  switchTo,
} from './versions.js'

export { removeCaches } from './code-caches.js'

/**
 * Unpacks an archive into a new version, to be put to use at once, or by `activate`, or to be removed by `discard`. Until
 * then the old version serves. It stays on disk for the executions that use it; once they have ended, the caller calls
 * `removeVersion`. A fault of the archive, the handler or the disk is answered as `refused` and leaves nothing behind;
 * a rejection is a defect of the agent. One call at a time for each function. Deploy thread only.
 */
export async function prepare(task: DeployTask): Promise<PrepareResult> {
  const { functionName, appsDir, users } = task
  return unlessRefused(`cannot deploy ${quote(functionName)}`, async () => {
    refuseFunctionName(functionName)
    const handler = readHandler(task.handler)
    const archive = unwrapForm(Buffer.from(task.archive.buffer, task.archive.byteOffset, task.archive.byteLength))
    const digest = await digestOf(archive)
    const owner = await ownerOf(users, functionName)
    const current = currentVersion(appsDir, functionName)
    if (current?.digest === digest && handlerProblem(current.dir, handler, owner.access) === undefined) {
      const version = await equipped(task, current, owner)
      return { kind: 'unchanged', version, warnings: await programWarnings(version.dir, handler) }
    }
    const prepared = await unpack(task, archive, handler, digest, owner)
    return (task.activate && (await activate(prepared))) ?? prepared
  })
}

/** Makes a prepared version the current one. Where that is refused the version is removed, and the old one stays. */
export function activate(prepared: PreparedVersion): Promise<DeployRefused | undefined> {
  const name = basename(dirname(dirname(prepared.next)))
  return unlessRefused(`cannot deploy ${quote(name)}`, async () => {
    try {
      switchTo(prepared)
      return undefined
    } catch (error) {
      await discard(prepared)
      throw error
    }
  })
}

/** Removes a prepared version. Never rejects. */
export function discard({ version, next }: PreparedVersion): Promise<void> {
  return discardVersion(version, next)
}

/** Why a version cannot be run by a handler other than the one it was deployed for; undefined where it can. */
export function checkHandler({ version, handler, users }: HandlerCheck): string | undefined {
  return handlerProblem(version.dir, handler, accessOf(users, version.uid))
}

/**
 * Deletes a version that is neither current nor in use, with its cache. Rejects with the system's error, and where the
 * folder is not a version or is the current one.
 */
export async function removeVersion({ versionDir, cachesDir }: VersionRemoval): Promise<void> {
  await removeCode(versionDir)
  await removeCache(cacheOf(cachesDir, versionDir))
}

/**
 * At the start: removes what a killed agent left (see `cleanVersions`), gives code to those who run it today, and
 * answers what can serve.
 */
export async function cleanApps(check: AppsCheck): Promise<AppsFound> {
  const { appsDir, cachesDir, stored, inUse, users } = check
  const { serving: whole, damaged } = await cleanVersions(appsDir, stored, inUse)
  const owners = await ownersOf(
    users,
    whole.map(({ name }) => name),
  )
  const serving: ServingVersion[] = []
  const unusable: { name: string; problem: string }[] = []
  for (const { name, version } of whole) {
    const handler = stored.get(name)?.handler
    const found = await unlessRefused('it cannot be given to its user', () =>
      ready(check, version, owners.get(name), handler),
    )
    if ('kind' in found) unusable.push({ name, problem: found.message })
    else serving.push({ name, ...found })
  }
  const needed = new Set([...inUse, ...(hasCaches(check) ? whole.map(({ version }) => version.dir) : [])])
  const caches = new Set([...needed].map((dir) => cacheOf(cachesDir, dir)))
  return { serving, damaged, unusable, staleCaches: staleCaches(cachesDir, caches) }
}

async function ready(
  check: AppsCheck,
  version: CodeVersion,
  owner: Owner | ArchiveRefused | undefined,
  handler: string | undefined,
): Promise<Omit<ServingVersion, 'name'>> {
  if (!owner || owner instanceof ArchiveRefused) throw owner
  regroup(version.dir, owner.access, check.inUse.has(version.dir))
  const problem = handler && handlerProblem(version.dir, handler, owner.access)
  return { version: await equipped(check, version, owner), ...(problem && { handlerProblem: problem }) }
}

/** `what`: what has failed where the system refuses something. */
async function unlessRefused<T>(what: string, work: () => Promise<T>): Promise<T | DeployRefused> {
  try {
    return await work()
  } catch (error) {
    const refused = refuseSystemError(what, error)
    if (refused instanceof ArchiveRefused) return { kind: 'refused', message: refused.message }
    throw refused
  }
}

async function unpack(
  task: DeployTask,
  archive: Buffer,
  handler: string,
  digest: string,
  owner: Owner,
): Promise<PreparedVersion> {
  const { functionName, limits, fingerprint } = task
  const { access } = owner
  const { entries, warnings } = readEntries(archive, limits, process.platform)
  const tree = buildTree(entries, limits, process.platform)
  const links = new Links(tree)
  const program = findProgram(tree, links, handler, warnings)
  let version = createVersion(task, functionName, digest, access)
  try {
    version = await equipped(task, version, owner)
    refuseProgramPath(program, version)
    await extract(tree, links, program, version.dir, access)
    warnings.push(...(await programWarnings(version.dir, handler)))
    const bytes = tree.files.reduce((sum, file) => sum + file.packed.size, 0)
    return { kind: 'prepared', version, next: await prepareSwitch(version, bytes, fingerprint), warnings }
  } catch (error) {
    await discardVersion(version)
    throw error
  }
}

/** Compares with the modes that a deploy would set today: the runner may have been created since. */
function handlerProblem(versionDir: string, handler: string, access: Access): string | undefined {
  const found = handlerStats(join(versionDir, handler))
  if (!found?.isFile()) return `handler ${quote(handler)} is not in the code that is deployed here: deploy its code`
  if (process.platform === 'win32') return undefined
  const isProgram = (found.mode & 0o770) === access.program && (access.gid === undefined || found.gid === access.gid)
  return isProgram ? undefined : `handler ${quote(handler)} was no program when its code was deployed: deploy it again`
}

/** Undefined where there is none, or it cannot be seen. */
function handlerStats(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false })
  } catch {
    return undefined
  }
}

function findProgram(tree: Tree, links: Links, handler: string, warnings: readonly string[]): FileNode {
  const landing = links.follow(handler)
  if (landing === undefined || landing.missing > 0) {
    const problem = `handler ${quote(handler)} is not in the archive${otherContents(tree) ?? suggest(handler, programsOf(tree, links))}`
    throw new ArchiveRefused([problem, ...warnings].join('; '))
  }
  if (landing.at.kind !== 'file') {
    throw new ArchiveRefused(`handler ${quote(handler)} is a ${describe(landing.at)}, not a file`)
  }
  return landing.at
}

/** What the archive holds where it holds no function's code, to follow words about it. */
function otherContents({ files }: Tree): string | undefined {
  const [file, ...others] = files
  if (file === undefined) return ', which holds no files'
  if (others.length > 0 || !/\.(zip|tar|tgz|tar\.\w+)$/i.test(file.path)) return undefined
  return `, which holds only another archive, ${quote(file.path)}: send what is in that, as a zip`
}

/** Every path that could be a handler. */
function programsOf(tree: Tree, links: Links): string[] {
  const linked = tree.links.filter(({ path }) => {
    const landing = links.follow(path)
    return landing?.missing === 0 && landing.at.kind === 'file'
  })
  return [...tree.files, ...linked].map(({ path }) => path)
}

function refuseProgramPath({ path }: FileNode, { dir }: CodeVersion): void {
  const problem = programPathProblem(join(dir, path), process.platform)
  if (problem) throw new ArchiveRefused(`handler ${quote(path)} ${problem}`)
}

/** The handler with `/` between components, as in archives. */
function readHandler(handler: string): string {
  const path = handler === '' ? '' : normalize(handler).split(sep).join('/')
  const problem = pathProblem(path, process.platform)
  if (problem !== undefined) {
    throw new ArchiveRefused(`handler ${quote(handler)} ${problem}`)
  }
  return path
}

function refuseFunctionName(name: string): void {
  const problem = componentProblem(name, process.platform)
  if (problem === undefined) return
  throw new ArchiveRefused(`function name ${quote(name)} cannot name a folder: it ${problem}`)
}
