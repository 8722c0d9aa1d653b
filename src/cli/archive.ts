import { createReadStream } from 'node:fs'
import { lstat, readdir, readFile, readlink, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { PassThrough, Readable } from 'node:stream'
import { fromBufferPromise } from 'yauzl'
import { ZipFile } from 'yazl'
import { MAX_MESSAGE_BYTES } from '../proto.js'
import { CommandFailure } from './failure.js'
import { formatBytes } from './format.js'

/** One file of a function's code. */
export interface CodeFile {
  /** Relative to the code, with `/`. */
  readonly path: string
  readonly executable: boolean
}

/** A function's code, ready to send. */
export interface CodeArchive {
  readonly zip: Buffer
  readonly files: readonly CodeFile[]
}

interface FoundEntry {
  readonly path: string
  readonly source: string
  readonly kind: 'file' | 'folder' | 'link'
  readonly mode: number
  readonly size: number
}

/** The message carries the function's name and settings too. */
const MAX_ARCHIVE_BYTES = MAX_MESSAGE_BYTES - 65_536

// A fixed date makes an archive a function of the code alone, so that deploying unchanged code changes nothing.
const DATE = { mtime: new Date(2000, 0, 1), forceDosTimestamp: true }

/** The code of a folder, zipped with its modes and symbolic links, or of a zip file as it is. */
export async function readCode(path: string, progress: (done: number, total: number) => void): Promise<CodeArchive> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailure(`cannot read ${path}: ${error.code}`)
  })
  return found.isDirectory() ? zipFolder(path, progress) : readZip(path, found.size)
}

async function readZip(path: string, size: number): Promise<CodeArchive> {
  if (size > MAX_ARCHIVE_BYTES) throw tooLarge(path)
  const zip = await readFile(path)
  const files: CodeFile[] = []
  try {
    for await (const entry of (await fromBufferPromise(zip)).eachEntry())
      if (!entry.fileName.endsWith('/'))
        files.push({ path: entry.fileName, executable: isExecutable(entry.externalFileAttributes >>> 16) })
  } catch (error) {
    throw new CommandFailure(`${path} is neither a folder nor a readable zip file: ${(error as Error).message}`)
  }
  return { zip, files }
}

async function zipFolder(folder: string, progress: (done: number, total: number) => void): Promise<CodeArchive> {
  const entries = await listEntries(folder)
  if (entries.length === 0) throw new CommandFailure(`${folder} is empty`)
  const total = entries.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const zip = new ZipFile()
  const packed = zip.outputStream as PassThrough
  zip.on('error', (error: Error) => packed.destroy(error))
  for (const entry of entries) {
    await addEntry(zip, entry, (bytes) => {
      done += bytes
      progress(done, total)
    })
  }
  zip.end()
  return {
    zip: await collect(packed, folder),
    files: entries
      .filter(({ kind }) => kind !== 'folder')
      .map(({ path, mode }) => ({ path, executable: isExecutable(mode) })),
  }
}

/** Files, links and empty folders below a folder, in an order that does not depend on the file system. */
async function listEntries(folder: string, prefix = ''): Promise<FoundEntry[]> {
  const entries: FoundEntry[] = []
  for (const name of (await readdir(folder)).sort()) {
    const source = join(folder, name)
    const path = prefix + name
    const found = await lstat(source)
    const { mode } = found
    if (found.isDirectory()) {
      const inner = await listEntries(source, `${path}/`)
      entries.push(...(inner.length > 0 ? inner : [{ path, source, kind: 'folder', mode, size: 0 } as const]))
    } else if (found.isFile()) entries.push({ path, source, kind: 'file', mode, size: found.size })
    else if (found.isSymbolicLink()) entries.push({ path, source, kind: 'link', mode, size: 0 })
    else throw new CommandFailure(`${source} is neither a file, a folder nor a symbolic link`)
  }
  return entries
}

async function addEntry(zip: ZipFile, entry: FoundEntry, progress: (bytes: number) => void): Promise<void> {
  const { path, source, mode, size } = entry
  switch (entry.kind) {
    case 'folder':
      return zip.addEmptyDirectory(path, { mode, ...DATE })
    case 'link':
      return zip.addBuffer(Buffer.from(await readlink(source)), path, { mode, compress: false, ...DATE })
    case 'file':
      return zip.addReadStreamLazy(path, { mode, size, ...DATE }, (done) => {
        const stream = createReadStream(source)
        stream.on('data', (chunk) => progress(chunk.length))
        done(null, stream)
      })
  }
}

async function collect(packed: Readable, folder: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of packed) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_ARCHIVE_BYTES) throw tooLarge(folder)
  }
  return Buffer.concat(chunks)
}

/** By the mode with its type bits: a symbolic link has every permission and is none the less no program. */
function isExecutable(mode: number): boolean {
  return (mode & 0o111) !== 0 && (mode & 0o170000) !== 0o120000
}

function tooLarge(path: string): CommandFailure {
  return new CommandFailure(
    `${path} is too large: its archive is over ${formatBytes(MAX_ARCHIVE_BYTES)}, and one message holds no more`,
  )
}
