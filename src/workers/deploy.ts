import { stat } from 'node:fs/promises'
import { join, normalize, sep } from 'node:path'
import { platform } from '../os/index.js'
import { type Access, accessFor } from './archive/access.js'
import { readEntries } from './archive/entries.js'
import { extract } from './archive/extract.js'
import { Links } from './archive/links.js'
import { unwrapForm } from './archive/multipart.js'
import { componentProblem, pathProblem, programPathProblem } from './archive/names.js'
import { suggest } from './archive/nearest.js'
import { ArchiveRefused, quote, refuseSystemError } from './archive/refused.js'
import { buildTree, describe, type FileNode, type Tree } from './archive/tree.js'
import type { CodeVersion, DeployResult, DeployTask } from './messages.js'
import { createVersion, currentVersion, digestOf, discardVersion, switchTo } from './versions.js'

export { cleanApps, removeVersion } from './versions.js'

/** The end of the last deploy of each function that has one under way. */
const turns = new Map<string, Promise<unknown>>()

/**
 * Unpacks an archive into a folder of its own and makes it the function's current version, deploys of one function
 * one after the other. Until the switch the old version serves, and it stays on disk for the executions that have it:
 * the caller counts these and then calls `removeVersion`. Whatever is wrong with the archive, the handler or the disk
 * is answered as `refused` and leaves nothing behind; a rejection is a defect of the agent. Worker threads only.
 */
export async function deploy(task: DeployTask): Promise<DeployResult> {
  const earlier = turns.get(task.functionName) ?? Promise.resolve()
  const turn = earlier.then(() => deployInTurn(task))
  const settled = turn.catch(() => undefined)
  turns.set(task.functionName, settled)
  try {
    return await turn
  } finally {
    if (turns.get(task.functionName) === settled) turns.delete(task.functionName)
  }
}

async function deployInTurn(task: DeployTask): Promise<DeployResult> {
  const { functionName, appsDir } = task
  const access = accessFor(task.runAs)
  try {
    refuseFunctionName(functionName)
    const handler = readHandler(task.handler)
    const archive = unwrapForm(Buffer.from(task.archive.buffer, task.archive.byteOffset, task.archive.byteLength))
    const digest = await digestOf(archive)
    const current = await currentVersion(appsDir, functionName)
    if (current?.digest === digest && (await serves(current, handler, access))) {
      return { kind: 'unchanged', version: current }
    }
    return { kind: 'deployed', ...(await unpack(task, archive, handler, digest, access)) }
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
): Promise<{ version: CodeVersion; warnings: readonly string[] }> {
  const { functionName, appsDir, limits } = task
  const { entries, warnings } = readEntries(archive, limits, process.platform)
  const tree = buildTree(entries, limits, process.platform)
  const links = new Links(tree)
  const program = findProgram(tree, links, handler, warnings)
  const version = await createVersion(appsDir, functionName, digest, access)
  try {
    refuseProgramPath(program, version)
    await extract(tree, links, program, version.dir, access)
    const problem = await platform.programProblem(join(version.dir, handler))
    // The caller knows the handler, not where it lies on this node.
    if (problem !== undefined) warnings.push(problem.replaceAll(`${version.dir}${sep}`, ''))
    await switchTo(
      version,
      tree.files.reduce((bytes, file) => bytes + file.packed.size, 0),
    )
    return { version, warnings }
  } catch (error) {
    await discardVersion(version)
    throw error
  }
}

/** Whether a version has the handler, with the modes it would be given today: the runner may have been created since. */
async function serves(version: CodeVersion, handler: string, access: Access): Promise<boolean> {
  try {
    const found = await stat(join(version.dir, handler))
    if (!found.isFile()) return false
    if (process.platform === 'win32') return true
    return (found.mode & 0o777) === access.program && (access.gid === undefined || found.gid === access.gid)
  } catch {
    return false
  }
}

function findProgram(tree: Tree, links: Links, handler: string, warnings: readonly string[]): FileNode {
  const landing = links.follow(handler)
  if (landing === undefined || landing.missing > 0) {
    const problem = `handler ${quote(handler)} is not in the archive${suggest(handler, programsOf(tree, links))}`
    throw new ArchiveRefused('ARCHIVE_HANDLER_MISSING', [problem, ...warnings].join('; '))
  }
  if (landing.at.kind !== 'file') {
    throw new ArchiveRefused(
      'ARCHIVE_HANDLER_MISSING',
      `handler ${quote(handler)} is a ${describe(landing.at)}, not a file`,
    )
  }
  return landing.at
}

/** Every path by which a handler could be given. */
function programsOf(tree: Tree, links: Links): string[] {
  const linked = tree.links.filter(({ path }) => {
    const landing = links.follow(path)
    return landing?.missing === 0 && landing.at.kind === 'file'
  })
  return [...tree.files, ...linked].map(({ path }) => path)
}

function refuseProgramPath({ path }: FileNode, { dir }: CodeVersion): void {
  const problem = programPathProblem(join(dir, path), process.platform)
  if (problem) throw new ArchiveRefused('ARCHIVE_HANDLER_INVALID', `handler ${quote(path)} ${problem}`)
}

/** With `/` between its components, as the archive's own paths. */
function readHandler(handler: string): string {
  const path = handler === '' ? '' : normalize(handler).split(sep).join('/')
  const problem = pathProblem(path, process.platform)
  if (problem !== undefined) {
    throw new ArchiveRefused('ARCHIVE_HANDLER_INVALID', `handler ${quote(handler)} ${problem.text}`)
  }
  return path
}

function refuseFunctionName(name: string): void {
  const problem = componentProblem(name, process.platform)
  if (problem === undefined) return
  throw new ArchiveRefused(
    'FUNCTION_NAME_INVALID',
    `function name ${quote(name)} cannot name a folder: it ${problem.text}`,
  )
}
