import { createHash, randomUUID } from 'node:crypto'
import {
  closeSync,
  type Dirent,
  existsSync,
  fsync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type Access, grantFolder } from '../../archive/access.js'
import { ArchiveRefused } from '../../archive/refused.js'
import type { AppsCheck, CodePlaces, CodeVersion, PreparedVersion, ServingVersion } from '../../threads/messages.js'
import { removeCache } from './code-caches.js'
import { accessOf } from './owners.js'

/**
 * Where code is on disk:
 *
 *     appsDir/NAME/versions/3f9a…-81c2…/   one version: the start of its digest, and a random part
 *     appsDir/NAME/versions/current        the version that serves: its folder, digest and size
 *     appsDir/NAME/versions/next-…-93b0…   the same for one that is to serve, named by its settings' fingerprint
 *
 * Only `current` decides. It is written as `next-…` and renamed once the settings are stored, so that it always names a
 * completely unpacked version, whenever the process is killed. It is a file because Windows reserves
 * symbolic links for administrators, and because it has room for the digest. Files of a version in use never change.
 * Versions that are neither current nor in use are removed; other files in `appsDir`, `appsDir/NAME` and `versions`
 * stay.
 *
 * The files of a version are not flushed one by one, which would take seconds. So a power cut soon after a deploy may
 * leave `current` in place and files empty, or `current` itself; `cleanVersions` detects that at the next start. Where
 * `next-…` is to replace a `current` it is flushed before: a power cut leaves the one or the other.
 */
const VERSIONS = 'versions'
const CURRENT = 'current'
const VERSION_NAME = /^[0-9a-f]{16}-[0-9a-f]{8}$/
const NEXT = /^next-(?<fingerprint>[0-9a-f]{16}|none)-[0-9a-f]{8}$/
/** Names used by releases up to 0.1.0. */
const EARLIER_NEXT = /^current-[0-9a-f]{8}$/
const CURRENT_TEXT = /^(?<folder>[0-9a-f]{16}-[0-9a-f]{8}) (?<digest>[0-9a-f]{64}) (?<bytes>\d+)\n$/

const HASHED_AT_ONCE = 2 * 1024 * 1024

interface Current extends CodeVersion {
  /** Unpacked size of all its files. */
  readonly bytes: number
}

/** SHA-256, hexadecimal. Yields to the event loop between steps. */
export async function digestOf(archive: Buffer): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < archive.length; start += HASHED_AT_ONCE) {
    if (start > 0) await nextTurn()
    hash.update(archive.subarray(start, start + HASHED_AT_ONCE))
  }
  return hash.digest('hex')
}

/** The current version; undefined before the first deploy. Throws the system's error. Blocks. */
export function currentVersion(appsDir: string, functionName: string): CodeVersion | undefined {
  const current = readPointer(versionsDir(appsDir, functionName), CURRENT)
  return current && { dir: current.dir, digest: current.digest }
}

/** Makes an empty folder for a new version. Throws the system's error. Blocks. */
export function createVersion(
  { appsDir, users }: CodePlaces,
  functionName: string,
  digest: string,
  access: Access,
): CodeVersion {
  const versions = versionsDir(appsDir, functionName)
  const created = mkdirSync(appsDir, { recursive: true })
  if (created !== undefined) grantFolder(appsDir, accessOf(users))
  else if (access.gid !== undefined) refuseForeign(appsDir)
  mkdirSync(versions, { recursive: true })
  grantFolder(dirname(versions), access, access.above)
  grantFolder(versions, access, access.above)
  const dir = join(versions, `${digest.slice(0, 16)}-${randomName()}`)
  mkdirSync(dir)
  grantFolder(dir, access)
  return { dir, digest }
}

/**
 * If the apps folder was removed while the agent runs, a function may have put its own folder, or a link, in its place.
 */
function refuseForeign(appsDir: string): void {
  const found = lstatSync(appsDir)
  if (found.isDirectory() && found.uid === process.geteuid?.()) return
  const problem = `${appsDir} is not the folder that the agent has made: start the agent again, which says what fixes it`
  throw new ArchiveRefused(problem)
}

/** Removes what `createVersion` made. Never rejects: the caller reports the first failure. */
export async function discardVersion(version: CodeVersion, next?: string): Promise<void> {
  const versions = dirname(version.dir)
  try {
    if (next !== undefined) await rm(next, { force: true })
    await removeFolder(version.dir)
    if (version.cacheDir !== undefined) await removeCache(version.cacheDir)
    // Fails, as it should, where the function has another version.
    await rmdir(versions)
    await rmdir(dirname(versions))
  } catch {
    // Leftovers are removed at the next start.
  }
}

/**
 * Notes on disk that a version, with so many bytes in its files, is to serve; answers the path of the note. Should the
 * agent be killed before `switchTo`, the next start switches to the version if the settings it came with are stored,
 * and removes it otherwise.
 */
export async function prepareSwitch(version: CodeVersion, bytes: number, fingerprint = 'none'): Promise<string> {
  const versions = dirname(version.dir)
  const next = join(versions, `next-${fingerprint}-${randomName()}`)
  const fd = openSync(next, 'wx', 0o600)
  try {
    writeFileSync(fd, `${basename(version.dir)} ${version.digest} ${bytes}\n`)
    if (existsSync(join(versions, CURRENT))) await promisify(fsync)(fd)
  } finally {
    closeSync(fd)
  }
  return next
}

/** Makes it the current version; or throws, and the old one stays current. Blocks. */
export function switchTo({ next }: Pick<PreparedVersion, 'next'>): void {
  renameSync(next, join(dirname(next), CURRENT))
}

/**
 * Deletes a version that is neither current nor in use. Rejects with the system's error, and where the folder is not a
 * version or is the current one.
 */
export async function removeVersion(dir: string): Promise<void> {
  const versions = dirname(dir)
  if (!VERSION_NAME.test(basename(dir)) || basename(versions) !== VERSIONS) {
    throw new Error(`not the folder of a version: ${dir}`)
  }
  if (readPointer(versions, CURRENT)?.dir === dir) throw new Error(`this version still serves: ${dir}`)
  await removeFolder(dir)
}

/**
 * Call at the start, before the first deploy. Completes or undoes the switch that a killed agent had begun, removes its
 * leftovers below `appsDir`, but for versions `inUse`, and answers what can serve. Other files stay. Rejects with the system's error.
 */
export async function cleanVersions(
  appsDir: string,
  stored: AppsCheck['stored'],
  inUse: AppsCheck['inUse'],
): Promise<{ readonly serving: readonly ServingVersion[]; readonly damaged: readonly string[] }> {
  const serving: ServingVersion[] = []
  const damaged: string[] = []
  for (const functionName of listFolders(appsDir)) {
    const versions = versionsDir(appsDir, functionName)
    const names = list(versions).map(({ name }) => name)
    if (names.length === 0) continue
    const fingerprint = stored.get(functionName)?.fingerprint ?? 'nothing stored'
    const next = names.find((name) => NEXT.exec(name)?.groups?.['fingerprint'] === fingerprint)
    if (next !== undefined && isWhole(readPointer(versions, next))) switchTo({ next: join(versions, next) })
    const current = readPointer(versions, CURRENT)
    const whole = isWhole(current)
    for (const name of names) {
      const path = join(versions, name)
      if (NEXT.test(name) || EARLIER_NEXT.test(name)) rmSync(path, { force: true })
      else if (VERSION_NAME.test(name) && !(whole && path === current?.dir) && !inUse.has(path))
        await removeFolder(path)
    }
    if (current && whole) serving.push({ name: functionName, version: { dir: current.dir, digest: current.digest } })
    else if (lstatSync(join(versions, CURRENT), { throwIfNoEntry: false })?.isFile()) {
      rmSync(join(versions, CURRENT), { force: true })
      damaged.push(functionName)
    }
  }
  return { serving, damaged }
}

/**
 * Whether no file was emptied by a power cut. Fewer bytes alone prove nothing: functions that run as the agent's user
 * may remove files beside their code.
 */
function isWhole(current: Current | undefined): boolean {
  if (!current) return false
  const found = contentsOf(current.dir)
  return found !== undefined && (found.bytes >= current.bytes || !found.hasEmpty)
}

function versionsDir(appsDir: string, functionName: string): string {
  return join(resolve(appsDir), functionName, VERSIONS)
}

function readPointer(versions: string, name: string): Current | undefined {
  const file = join(versions, name)
  // Most have none yet, and an error costs more than a look.
  const look = () => lstatSync(file, { throwIfNoEntry: false }) && readFileSync(file, 'utf8')
  const text = unless(look, 'ENOENT', 'ENOTDIR', 'EISDIR')
  const { folder, digest, bytes } = CURRENT_TEXT.exec(text ?? '')?.groups ?? {}
  if (folder === undefined || digest === undefined) return undefined
  return { dir: join(versions, folder), digest, bytes: Number(bytes) }
}

/** Undefined where the folder does not exist. */
function contentsOf(dir: string): { bytes: number; hasEmpty: boolean } | undefined {
  const sizes: number[] = []
  // Folder by folder: newer versions of Node follow links when they descend by themselves, and may loop.
  const folders = [dir]
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    const entries = unless(() => readdirSync(folder, { withFileTypes: true }), 'ENOENT')
    if (!entries) return undefined
    for (const entry of entries) {
      if (entry.isDirectory()) folders.push(join(folder, entry.name))
      else if (entry.isFile()) sizes.push(lstatSync(join(folder, entry.name)).size)
    }
  }
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), hasEmpty: sizes.includes(0) }
}

function listFolders(dir: string): string[] {
  return list(dir)
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
}

/** Empty where the folder does not exist or is inaccessible. */
function list(dir: string): Dirent[] {
  return unless(() => readdirSync(dir, { withFileTypes: true }), 'ENOENT', 'ENOTDIR', 'EACCES', 'EPERM') ?? []
}

/** Undefined where the step fails by one of these codes. */
function unless<T>(step: () => T, ...codes: string[]): T | undefined {
  try {
    return step()
  } catch (error) {
    if (!codes.includes((error as NodeJS.ErrnoException).code ?? '')) throw error
    return undefined
  }
}

async function removeFolder(dir: string): Promise<void> {
  // Windows may keep a program open for a moment after it has ended.
  await rm(dir, { recursive: true, force: true, maxRetries: 5 })
}

function randomName(): string {
  // Its random bytes come from a pool.
  return randomUUID().slice(0, 8)
}
