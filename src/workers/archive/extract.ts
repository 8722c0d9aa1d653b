import { closeSync, mkdirSync, openSync, symlinkSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Access, grant, grantFolder } from './access.js'
import { unpackPieces, unpackWhole } from './contents.js'
import type { Links } from './links.js'
import { quote, refuseSystemError } from './refused.js'
import type { FileNode, Tree } from './tree.js'

/** Unpacked, bytes. Below it system calls made synchronously beat streams and the thread pool several times over. */
const SMALL = 256 * 1024

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
  await writeFiles(tree.files, async (file) => {
    const mode = file === handler || file.executable ? access.program : access.file
    if (file.packed.size <= SMALL) attempt(file.path, () => writeSmall(file, join(dir, file.path), mode, access))
    else await writeLarge(file, join(dir, file.path), mode, access)
    await breathe()
  })
  for (const link of tree.links) {
    attempt(link.path, () => symlinkSync(links.target(link), join(dir, link.path)))
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

function writeSmall(file: FileNode, path: string, mode: number, access: Access): void {
  const contents = unpackWhole(file.packed)
  const fd = openSync(path, 'wx', 0o600)
  try {
    writeFileSync(fd, contents)
    grant(fd, mode, access)
  } finally {
    closeSync(fd)
  }
}

async function writeLarge(file: FileNode, path: string, mode: number, access: Access): Promise<void> {
  try {
    const handle = await open(path, 'wx', 0o600)
    try {
      for await (const piece of unpackPieces(file.packed)) await handle.writeFile(piece)
      grant(handle.fd, mode, access)
    } finally {
      await handle.close()
    }
  } catch (error) {
    throw refuseSystemError(`cannot unpack ${quote(file.path)}`, error, file.path)
  }
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
