import { readFile, stat } from 'node:fs/promises'
import { type PassThrough, Readable } from 'node:stream'
import { ZipFile } from 'yazl'
import { readEntries } from '../../archive/entries.js'
import { unwrapForm } from '../../archive/multipart.js'
import { MAX_MESSAGE_BYTES } from '../../proto.js'
import { CommandFailure } from '../failure.js'
import { type FoundEntry, listFolder, readFound, type Selection } from './code-folder.js'
import { tooLarge, unreadable } from './code-problem.js'

/** One file of a function's code. */
export interface CodeFile {
  /** Path relative to the code, with `/`. */
  readonly path: string
  readonly executable: boolean
}

/** A function's code, ready to send. */
export interface CodeArchive {
  readonly zip: Buffer
  /** Undefined where the zip cannot be read; the agent then says why. */
  readonly files: readonly CodeFile[] | undefined
  /** Paths that were left out, relative to the folder. */
  readonly leftOut: readonly string[]
  /** Exclusions that matched nothing. */
  readonly unmatched: readonly string[]
}

/** Called with the bytes zipped so far, and the total. */
export type Progress = (done: number, total: number) => void

/** The message also carries the function's name and settings. */
const MAX_ARCHIVE_BYTES = MAX_MESSAGE_BYTES - 65_536

const EVERYTHING: Selection = { exclude: [], dereference: false }

/** The agent applies its own limits. */
const NO_LIMITS = {
  maxEntries: Number.POSITIVE_INFINITY,
  maxBytes: Number.POSITIVE_INFINITY,
  maxRatio: Number.POSITIVE_INFINITY,
}

/**
 * Reads code: a folder is zipped with modes, times and symbolic links; a zip file stays as it is. Throws CommandFailure
 * with one line that names the file and the fix.
 */
export async function readCode(
  path: string,
  progress: Progress,
  selection: Selection = EVERYTHING,
): Promise<CodeArchive> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CommandFailure(
      `cannot read ${path}: ${error.code === 'ENOENT' ? 'there is no such file or folder' : error.code}`,
    )
  })
  if (found.isDirectory()) return zipFolder(path, selection, progress)
  if (selection.exclude.length > 0 || selection.dereference) {
    throw new CommandFailure(`${path} is no folder: --exclude and --dereference say what of a folder is sent`)
  }
  if (!found.isFile()) throw new CommandFailure(`${path} is neither a folder nor a zip file`)
  return readZip(path, found.size)
}

async function readZip(path: string, size: number): Promise<CodeArchive> {
  if (size > MAX_ARCHIVE_BYTES) throw tooLarge(path, MAX_ARCHIVE_BYTES, [])
  const zip = await readFile(path).catch((error) => {
    throw unreadable({ source: path, path }, error)
  })
  return { zip, files: listZip(zip), leftOut: [], unmatched: [] }
}

function listZip(zip: Buffer): CodeFile[] | undefined {
  try {
    const { entries } = readEntries(unwrapForm(zip), NO_LIMITS, 'linux')
    return entries.flatMap((entry) =>
      entry.kind === 'folder' ? [] : [{ path: entry.path, executable: entry.kind === 'file' && entry.executable }],
    )
  } catch {
    return undefined
  }
}

async function zipFolder(folder: string, selection: Selection, progress: Progress): Promise<CodeArchive> {
  const { entries, leftOut, unmatched } = await listFolder(folder, selection)
  const files = entries.filter((entry) => entry.kind === 'file')
  const total = files.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  const zip = new ZipFile()
  const packed = zip.outputStream as PassThrough
  zip.on('error', (error: Error) => packed.destroy(error))
  const collected = collect(packed, () => tooLarge(folder, MAX_ARCHIVE_BYTES, files))
  for (const entry of entries) {
    addEntry(zip, entry, (bytes) => {
      done += bytes
      progress(done, total)
    })
  }
  zip.end()
  return {
    zip: await collected,
    files: entries
      .filter(({ kind }) => kind !== 'folder')
      .map(({ path, mode }) => ({ path, executable: isExecutable(mode) })),
    leftOut,
    unmatched,
  }
}

function addEntry(zip: ZipFile, entry: FoundEntry, progress: (bytes: number) => void): void {
  const { path, mode, modified } = entry
  // To the second, in UTC, which keeps Python's bytecode valid. yazl fails for times before 1970.
  const options = { mode, mtime: new Date(Math.max(0, modified.getTime())) }
  if (entry.kind === 'folder') zip.addEmptyDirectory(path, options)
  else if (entry.kind === 'link') zip.addBuffer(Buffer.from(entry.target), path, { ...options, compress: false })
  else {
    zip.addReadStreamLazy(path, { ...options, size: entry.size }, (opened) => {
      const stream = Readable.from(readFound(entry), { objectMode: false })
      stream.on('error', (error) => zip.emit('error', error))
      stream.on('data', (chunk: Buffer) => progress(chunk.length))
      opened(null, stream)
    })
  }
}

async function collect(packed: Readable, refused: () => CommandFailure): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of packed) {
    chunks.push(chunk)
    size += chunk.length
    if (size > MAX_ARCHIVE_BYTES) throw refused()
  }
  return Buffer.concat(chunks)
}

/** `mode` includes the type bits: a symbolic link has every permission and is no program. */
function isExecutable(mode: number): boolean {
  return (mode & 0o111) !== 0 && (mode & 0o170000) !== 0o120000
}
