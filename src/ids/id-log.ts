import { randomBytes } from 'node:crypto'
import { closeSync, mkdirSync, openSync, writeSync } from 'node:fs'
import { readdir, readFile, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { KNOWN_MS } from './recent-ids.js'

/**
 * A file of ids: this magic, the time of its first id (epoch ms), then the number of each id. All numbers are
 * little-endian doubles.
 */
const MAGIC = Buffer.from('fluxids1')
const NUMBER_BYTES = 8
const HEADER_BYTES = MAGIC.length + NUMBER_BYTES
const SUFFIX = '.ids'
/** A file takes ids for this long; then a new one is begun. */
const FILE_MS = 600_000
/** After a failed write, the next attempt. */
const RETRY_MS = 5_000

export type IdLogEvent =
  /** Ids are remembered only until this process ends, until the disk accepts writes again. */
  | { readonly kind: 'failed'; readonly cause: Error }
  | { readonly kind: 'works again' }
  | { readonly kind: 'damaged'; readonly file: string; readonly problem: string }

/**
 * Writes the ids that one thread is given to files of its own, so that the agent's next run knows them. Used on that
 * thread only.
 */
export class IdLog {
  #waiting: number[] = []
  #written: Promise<void> | undefined
  #fd: number | undefined
  /** Epoch ms. */
  #fileUntil = 0
  #retryAt = 0
  #failed = false

  constructor(
    private readonly dir: string,
    private readonly report: (event: IdLogEvent) => void,
  ) {}

  /**
   * Resolves once the operating system has the id, so that it survives a SIGKILL of this process; or once the write has
   * failed, which is reported. All ids of one turn of the event loop take one write.
   */
  add(number: number): Promise<void> {
    this.#waiting.push(number)
    this.#written ??= Promise.resolve().then(() => this.#write())
    return this.#written
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
  }

  #write(): void {
    const bytes = Buffer.from(Float64Array.from(this.#waiting).buffer)
    this.#waiting = []
    this.#written = undefined
    const now = Date.now()
    if (this.#failed && now < this.#retryAt) return
    try {
      const fd = this.#open(now)
      if (writeSync(fd, bytes) < bytes.length) throw new Error('the disk is full')
      if (this.#failed) this.report({ kind: 'works again' })
      this.#failed = false
    } catch (error) {
      // A partial write must stay the last one in its file.
      this.close()
      this.#retryAt = now + RETRY_MS
      if (!this.#failed) this.report({ kind: 'failed', cause: error as Error })
      this.#failed = true
    }
  }

  #open(now: number): number {
    if (this.#fd !== undefined && now < this.#fileUntil && now >= this.#fileUntil - FILE_MS) return this.#fd
    this.close()
    mkdirSync(this.dir, { recursive: true, mode: 0o700 })
    const file = join(this.dir, `${randomBytes(8).toString('hex')}${SUFFIX}`)
    this.#fd = openSync(file, 'ax', 0o600)
    this.#fileUntil = now + FILE_MS
    const header = Buffer.concat([MAGIC, Buffer.from(Float64Array.of(now).buffer)])
    if (writeSync(this.#fd, header) < header.length) throw new Error('the disk is full')
    void deleteOld(this.dir).catch(() => {})
    return this.#fd
  }
}

/**
 * Reads the ids given within the last hour. Call before any thread writes to `dir`. Never rejects for a damaged file,
 * which is reported.
 */
export async function readIds(
  dir: string,
  found: (number: number, ageMs: number) => void,
  report: (event: IdLogEvent) => void,
): Promise<void> {
  const files = await deleteOld(dir).then(
    () => filesIn(dir),
    (error: Error) => {
      report({ kind: 'damaged', file: dir, problem: error.message })
      return []
    },
  )
  for (const file of files) {
    try {
      readNumbers(await readFile(file), found)
    } catch (error) {
      report({ kind: 'damaged', file, problem: (error as Error).message })
    }
  }
}

function readNumbers(bytes: Buffer, found: (number: number, ageMs: number) => void): void {
  // Its thread ended before it had written the header.
  if (bytes.length < HEADER_BYTES) return
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw new Error('it is no file of ids')
  // Every id counts as given at the file's end; where the clock was set back, as given now.
  const ageMs = Math.max(0, Date.now() - bytes.readDoubleLE(MAGIC.length) - FILE_MS)
  let wrong = 0
  // The last number may be incomplete.
  for (let at = HEADER_BYTES; at + NUMBER_BYTES <= bytes.length; at += NUMBER_BYTES) {
    const number = bytes.readDoubleLE(at)
    if (Number.isSafeInteger(number) && number > 0) found(number, ageMs)
    else wrong++
  }
  if (wrong > 0) throw new Error(`${wrong} ids in it are damaged`)
}

async function deleteOld(dir: string): Promise<void> {
  for (const file of await filesIn(dir)) {
    // Another thread may be deleting the same file.
    const { mtimeMs } = await stat(file).catch(() => ({ mtimeMs: Infinity }))
    if (Date.now() - mtimeMs > KNOWN_MS) await unlink(file).catch(() => {})
  }
}

async function filesIn(dir: string): Promise<string[]> {
  try {
    return (await readdir(dir)).filter((name) => name.endsWith(SUFFIX)).map((name) => join(dir, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
