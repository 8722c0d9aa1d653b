import { closeSync, futimesSync, mkdirSync, openSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Access, grant, grantFolder } from './access.js'
import { type Source, sourceOf } from './bytecode.js'
import { unpackPieces, unpackWhole } from './contents.js'
import type { Links } from './links.js'
import { quote, refuseSystemError } from './refused.js'
import type { FileNode, Tree } from './tree.js'

/** Unpacked, bytes. Below it system calls made synchronously beat streams and the thread pool several times over. */
const SMALL = 256 * 1024

const SCRIPT = Buffer.from('#!')
const ELF = Buffer.from('\x7fELF')

/** Large files unpacked at once, each with a few hundred KiB in memory. */
const LANES = 4

/** How long small files may keep the thread's event loop from other deploys, milliseconds. */
const BUSY_MS = 5

/**
 * Unpacks into an existing, empty folder that nobody else can write to. Rejects with ArchiveRefused where an entry is
 * not what it declares or the system refuses; what was written until then stays, and nothing is written any more.
 * Symbolic links come last, so that no file can be written through one.
 */
export async function extract(tree: Tree, links: Links, handler: FileNode, dir: string, access: Access): Promise<void> {
  const breathe = pacer()
  for (const folder of tree.folders) {
    attempt(folder.path, () => {
      mkdirSync(join(dir, folder.path))
      grantFolder(join(dir, folder.path), access)
    })
    await breathe()
  }
  const sources: Source[] = []
  await writeFiles(tree.files, async (file) => {
    const finish = (fd: number, start: Buffer) => {
      const program = file === handler || file.executable || isProgram(start)
      grant(fd, program ? access.program : access.file, access)
      futimesSync(fd, timeOf(file.modified.seconds), timeOf(file.modified.seconds))
      const source = sourceOf(file, start)
      if (source) sources.push(source)
    }
    if (file.packed.size <= SMALL) attempt(file.path, () => writeSmall(file, join(dir, file.path), finish))
    else await writeLarge(file, join(dir, file.path), finish)
    await breathe()
  })
  for (const link of tree.links) {
    attempt(link.path, () => symlinkSync(links.target(link), join(dir, link.path)))
    await breathe()
  }
  for (const { file, seconds } of sources) setTime(dir, file.path, seconds)
  for (const { path, modified } of tree.folders) {
    if (modified !== undefined) setTime(dir, path, modified.seconds)
    await breathe()
  }
}

async function writeFiles(files: readonly FileNode[], write: (file: FileNode) => Promise<void>): Promise<void> {
  // A loop left by a throw closes the generator it reads, which ends the other lanes' loops at their next file.
  const queue = (function* () {
    yield* files
  })()
  const lanes = Array.from({ length: LANES }, async () => {
    for (const file of queue) await write(file)
  })
  const failed = (await Promise.allSettled(lanes)).find((lane) => lane.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** What is left to do with a file whose bytes are written; `start` has the first of them. */
type Finish = (fd: number, start: Buffer) => void

function writeSmall(file: FileNode, path: string, finish: Finish): void {
  const contents = unpackWhole(file.packed)
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(fd, contents)
    finish(fd, contents)
  } finally {
    closeSync(fd)
  }
}

async function writeLarge(file: FileNode, path: string, finish: Finish): Promise<void> {
  try {
    const handle = await open(path, 'wx', 0o600)
    try {
      let start: Buffer | undefined
      for await (const piece of unpackPieces(file.packed)) {
        start ??= piece
        await handle.writeFile(piece)
      }
      finish(handle.fd, start ?? Buffer.alloc(0))
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw refuseSystemError(`cannot unpack ${quote(file.path)}`, error, file.path)
  }
}

/** Scripts and native programs run whether or not the archive's maker could say so: Windows has no bit for it. */
function isProgram(start: Buffer): boolean {
  return start.subarray(0, 2).equals(SCRIPT) || start.subarray(0, 4).equals(ELF)
}

/** As a Date: Node takes a negative number for the present. */
function timeOf(seconds: number): Date {
  return new Date(seconds * 1000)
}

function setTime(dir: string, path: string, seconds: number): void {
  attempt(path, () => utimesSync(join(dir, path), timeOf(seconds), timeOf(seconds)))
}

function attempt(path: string, step: () => void): void {
  try {
    step()
  } catch (error) {
    throw refuseSystemError(`cannot unpack ${quote(path)}`, error, path)
  }
}

/** A function to await between small steps: it hands the event loop on once all its callers together have kept it long. */
function pacer(): () => Promise<void> {
  let since = performance.now()
  let turn: Promise<void> | undefined
  return async () => {
    if (performance.now() - since < BUSY_MS) return
    turn ??= nextTurn().then(() => {
      since = performance.now()
      turn = undefined
    })
    await turn
  }
}
