import { closeSync, futimesSync, mkdirSync, openSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Access, grant, grantFolder } from './access.js'
import { type Source, sourceOf } from './bytecode.js'
import { unpackPieces, unpackWhole } from './contents.js'
import { inLanes } from './lanes.js'
import type { Links } from './links.js'
import { quote, refuseSystemError } from './refused.js'
import type { FileNode, Tree } from './tree.js'

/**
 * Unpacked size, bytes. Below it synchronous system calls are several times faster than streams and the thread pool.
 */
const SMALL = 256 * 1024

const SCRIPT = Buffer.from('#!')
const ELF = Buffer.from('\x7fELF')

/** Large files unpacked at a time; each takes a few hundred KiB of memory. */
const LANES = 4

/** Milliseconds for which small files may block the thread before other deploys get a turn. */
const BUSY_MS = 5

/**
 * Unpacks into an existing, empty folder that nobody else can write to. Rejects with ArchiveRefused where an entry is
 * not as declared or the system refuses; files written by then stay, and nothing is written after. Symbolic links are
 * made last, so that no file is written through one. Deploy thread only.
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
  await inLanes(tree.files, LANES, async (file) => {
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

/** Called once a file's bytes are written; `start` has the first of them. */
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
    throw refuseSystemError(`cannot unpack ${quote(file.path)}`, error)
  }
}

/** Scripts and native programs become executable even without a mode bit: zips made on Windows have none. */
function isProgram(start: Buffer): boolean {
  return start.subarray(0, 2).equals(SCRIPT) || start.subarray(0, 4).equals(ELF)
}

/** As a Date, because Node reads a negative number as "now". */
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
    throw refuseSystemError(`cannot unpack ${quote(path)}`, error)
  }
}

/**
 * Answers a function to await between small steps. It yields the event loop once its callers together have used
 * BUSY_MS.
 */
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
