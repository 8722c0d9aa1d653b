import assert from 'node:assert/strict'
import { lstat, mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, sep } from 'node:path'
import type { TestContext } from 'node:test'
import type { RunAs } from '../../../src/os/platform.js'
import type {
  AppsCheck,
  CodePlaces,
  CodeVersion,
  DeployTask,
  FunctionUsers,
  PrepareResult,
  ServingVersion,
} from '../../../src/threads/messages.js'
import { activate, cleanApps, prepare } from '../../../src/workers/deploy/deploy.js'

/** Nobody: a user every Linux has, for tests that run as root. */
export const NOBODY: RunAs = { name: 'nobody', uid: 65534, gid: 65534, home: '/nonexistent', groups: [] }

export const AS_NOBODY: FunctionUsers = { kind: 'shared', runAs: NOBODY }

export const isRoot = process.getuid?.() === 0

export const isWindows = process.platform === 'win32'

export interface Apps {
  readonly root: string
  readonly appsDir: string
  /** A task with the handler `run.sh`. */
  task(archive: Buffer, changes?: Partial<DeployTask>): DeployTask
  /** Deploys, and fails the test where it is refused. */
  deployed(archive: Buffer, changes?: Partial<DeployTask>): Promise<CodeVersion>
  /** Deploys, fails the test where it is not refused, and answers the message. */
  refused(archive: Buffer, changes?: Partial<DeployTask>): Promise<string>
}

/** From the archive to the version that serves. */
export async function deploy(
  task: DeployTask,
): Promise<
  Exclude<PrepareResult, { kind: 'prepared' }> | { kind: 'deployed'; version: CodeVersion; warnings: readonly string[] }
> {
  const prepared = await prepare(task)
  if (prepared.kind !== 'prepared') return prepared
  const { version, warnings } = prepared
  return (await activate(prepared)) ?? { kind: 'deployed', version, warnings }
}

/** What a start finds where nothing is stored of any function. */
export async function clean(appsDir: string): Promise<readonly ServingVersion[]> {
  return (await cleanApps(check(appsDir))).serving
}

/** What a start asks where nothing is stored and nothing runs, and functions run as the agent's user. */
export function check(appsDir: string, changes: Partial<AppsCheck> = {}): AppsCheck {
  return { ...placesOf(appsDir), stored: new Map(), inUse: new Set(), ...changes }
}

function placesOf(appsDir: string): CodePlaces {
  return { appsDir, users: { kind: 'agent' }, cachesDir: join(appsDir, '..', 'caches'), codeCache: false }
}

/** A folder for apps in a folder of its own, gone after the test. */
export async function makeApps(t: TestContext): Promise<Apps> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'flux-deploy-')))
  t.after(() => rm(root, { recursive: true, force: true }))
  const appsDir = join(root, 'apps')
  await mkdir(join(root, 'outside'))
  await writeFile(join(root, 'outside', 'secret'), 'untouched')
  const task: Apps['task'] = (archive, changes = {}) => ({
    functionName: 'hello',
    handler: 'run.sh',
    archive,
    ...placesOf(appsDir),
    limits: { maxEntries: 2000, maxBytes: 64 * 1024 * 1024, maxRatio: 100 },
    ...changes,
  })
  return {
    root,
    appsDir,
    task,
    deployed: async (archive, changes) => {
      const result = await deploy(task(archive, changes))
      assert.equal(result.kind, 'deployed', JSON.stringify(result))
      return (result as { version: CodeVersion }).version
    },
    refused: async (archive, changes) => {
      const result = await deploy(task(archive, changes))
      assert.equal(result.kind, 'refused', JSON.stringify(result))
      return (result as { message: string }).message
    },
  }
}

/** Everything below a folder by its relative path: a file's contents, `-> target` of a link, `folder`. */
export async function snapshot(dir: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const entry of await readdir(dir, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    const name = relative(dir, path).split(sep).join('/')
    if (entry.isDirectory()) found[name] = 'folder'
    else if (entry.isSymbolicLink()) found[name] = `-> ${await readlink(path)}`
    else found[name] = await readFile(path, 'latin1')
  }
  return found
}

/** Permission bits, octal: `750`. */
export async function modeOf(path: string): Promise<string> {
  return ((await lstat(path)).mode & 0o7777).toString(8)
}
