import { stat } from 'node:fs/promises'
import { basename, dirname, join, normalize, sep } from 'node:path'
import { type Access, accessFor } from '../../archive/access.js'
import { readEntries } from '../../archive/entries.js'
import { extract } from '../../archive/extract.js'
import { Links } from '../../archive/links.js'
import { unwrapForm } from '../../archive/multipart.js'
import { suggest } from '../../archive/nearest.js'
import { componentProblem, pathProblem, programPathProblem } from '../../archive/path-rules.js'
import { ArchiveRefused, quote, refuseSystemError } from '../../archive/refused.js'
import { buildTree, describe, type FileNode, type Tree } from '../../archive/tree.js'
import { platform } from '../../os/index.js'
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
} from '../../threads/messages.js'
import {
  cleanVersions,
  createVersion,
  currentVersion,
  digestOf,
  discardVersion,
  prepareSwitch,
  switchTo,
} from './versions.js'

export { removeVersion } from './versions.js'

/**
 * Unpacks an archive into a new version, to be put to use by `activate` or removed by `discard`. Until then the old
 * version serves. It stays on disk for the executions that use it; once they have ended, the caller calls
 * `removeVersion`. A fault of the archive, the handler or the disk is answered as `refused` and leaves nothing behind;
 * a rejection is a defect of the agent. One call at a time for each function. Deploy thread only.
 */
export async function prepare(task: DeployTask): Promise<PrepareResult> {
  const { functionName, appsDir } = task
  const access = accessFor(task.runAs)
  return unlessRefused(functionName, async () => {
    refuseFunctionName(functionName)
    const handler = readHandler(task.handler)
    const archive = unwrapForm(Buffer.from(task.archive.buffer, task.archive.byteOffset, task.archive.byteLength))
    const digest = await digestOf(archive)
    const current = await currentVersion(appsDir, functionName)
    if (current?.digest === digest && (await handlerProblem(current.dir, handler, access)) === undefined) {
      return { kind: 'unchanged', version: current, warnings: await programWarnings(current, handler) }
    }
    return unpack(task, archive, handler, digest, access)
  })
}

/** Makes a prepared version the current one. Where that is refused the version is removed, and the old one stays. */
export function activate(prepared: PreparedVersion): Promise<DeployRefused | undefined> {
  return unlessRefused(basename(dirname(dirname(prepared.next))), async () => {
    try {
      await switchTo(prepared)
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
export function checkHandler({ versionDir, handler, runAs }: HandlerCheck): Promise<string | undefined> {
  return handlerProblem(versionDir, handler, accessFor(runAs))
}

/** At the start: removes what a killed agent left, and answers what can serve; see `cleanVersions`. */
export async function cleanApps({ appsDir, stored, inUse, runAs }: AppsCheck): Promise<AppsFound> {
  const found = await cleanVersions(appsDir, stored, inUse)
  const serving: ServingVersion[] = []
  for (const { name, version } of found.serving) {
    const handler = stored.get(name)?.handler
    const problem = handler && (await handlerProblem(version.dir, handler, accessFor(runAs)))
    serving.push({ name, version, ...(problem && { handlerProblem: problem }) })
  }
  return { ...found, serving }
}

async function unlessRefused<T>(functionName: string, work: () => Promise<T>): Promise<T | DeployRefused> {
  try {
    return await work()
  } catch (error) {
    const refused = refuseSystemError(`cannot deploy ${quote(functionName)}`, error)
    if (refused instanceof ArchiveRefused) return { kind: 'refused', message: refused.message }
    throw refused
  }
}

async function unpack(
  task: DeployTask,
  archive: Buffer,
  handler: string,
  digest: string,
  access: Access,
): Promise<PreparedVersion> {
  const { functionName, appsDir, limits, fingerprint } = task
  const { entries, warnings } = readEntries(archive, limits, process.platform)
  const tree = buildTree(entries, limits, process.platform)
  const links = new Links(tree)
  const program = findProgram(tree, links, handler, warnings)
  const version = await createVersion(appsDir, functionName, digest, access)
  try {
    refuseProgramPath(program, version)
    await extract(tree, links, program, version.dir, access)
    warnings.push(...(await programWarnings(version, handler)))
    const bytes = tree.files.reduce((sum, file) => sum + file.packed.size, 0)
    return { kind: 'prepared', version, next: await prepareSwitch(version, bytes, fingerprint), warnings }
  } catch (error) {
    await discardVersion(version)
    throw error
  }
}

/** Why the handler cannot be started, with paths relative to the version's folder. */
async function programWarnings({ dir }: CodeVersion, handler: string): Promise<string[]> {
  const problem = await platform.programProblem(join(dir, handler))
  return problem === undefined ? [] : [problem.replaceAll(`${dir}${sep}`, '')]
}

/** Compares with the modes that a deploy would set today: the runner may have been created since. */
async function handlerProblem(versionDir: string, handler: string, access: Access): Promise<string | undefined> {
  const found = await stat(join(versionDir, handler)).catch(() => undefined)
  if (!found?.isFile()) return `handler ${quote(handler)} is not in the code that is deployed here: deploy its code`
  if (process.platform === 'win32') return undefined
  const isProgram = (found.mode & 0o777) === access.program && (access.gid === undefined || found.gid === access.gid)
  return isProgram ? undefined : `handler ${quote(handler)} was no program when its code was deployed: deploy it again`
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
