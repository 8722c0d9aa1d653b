import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { StoreWrite } from '../store.js'
import { type Frame, frameOf, writeAt } from './spill-frame.js'

/** A write's place on disk. */
export interface Spilled {
  readonly segment: Segment
  /** Bytes from the segment's start to the frame's. */
  readonly at: number
  readonly size: number
}

interface Segment {
  readonly path: string
  readonly handle: FileHandle
  size: number
  /** Writes in it that are not stored yet. */
  waiting: number
  appending: boolean
}

/** A segment's file name. Names sort in the order of their writes. */
const segmentName = (sequence: number) => `${String(sequence).padStart(10, '0')}.writes`

/**
 * A queue's writes on disk: append-only segments in a folder of their own. A segment is deleted once all its writes are
 * released. One append at a time.
 */
export class SpillFile {
  readonly dir: string
  readonly #segmentBytes: number
  readonly #segments = new Set<Segment>()
  #current: Segment | undefined
  #sequence = 0
  #deletions: Promise<unknown> = Promise.resolve()

  /** Makes the folder at the first append. A segment ends once it has reached `segmentBytes`. */
  constructor(dir: string, segmentBytes: number) {
    this.dir = dir
    this.#segmentBytes = segmentBytes
  }

  /** Rejects with the disk's error; then none of them is on disk, and the call may be repeated. */
  async append(writes: readonly StoreWrite[]): Promise<Spilled[]> {
    this.#current ??= await this.#open(this.#sequence++)
    const segment = this.#current
    const spilled = await this.#appendTo(segment, writes)
    if (segment.size >= this.#segmentBytes) this.#current = undefined
    return spilled
  }

  /** Reads writes back, in that order; undefined for each that cannot be read. */
  async read(spilled: readonly Spilled[]): Promise<(StoreWrite | undefined)[]> {
    const writes: (StoreWrite | undefined)[] = []
    for (const run of runsOf(spilled)) writes.push(...(await readRun(run)))
    return writes
  }

  /** The write is stored: its bytes are not needed any more. */
  release({ segment }: Spilled): void {
    segment.waiting--
    if (segment.waiting > 0 || segment.appending) return
    if (segment === this.#current) this.#current = undefined
    this.#segments.delete(segment)
    // close() waits for running reads. A file that cannot be deleted is replayed at the next start, which is harmless.
    const deletion = segment.handle.close().then(() => rm(segment.path, { force: true }))
    this.#deletions = Promise.allSettled([this.#deletions, deletion])
  }

  /** Syncs unstored writes to the disk, and removes the folder where there are none. */
  async close(): Promise<void> {
    for (const segment of this.#segments) {
      // A segment is empty where its first append failed.
      if (segment.waiting > 0) await segment.handle.sync()
      await segment.handle.close()
      if (segment.waiting === 0) await rm(segment.path, { force: true })
    }
    await this.#deletions
    // Fails while the folder has files, or does not exist.
    await rmdir(this.dir).catch(() => undefined)
  }

  async #open(sequence: number): Promise<Segment> {
    await mkdir(this.dir, { recursive: true, mode: 0o700 })
    const path = join(this.dir, segmentName(sequence))
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT | constants.O_EXCL, 0o600)
    const segment = { path, handle, size: 0, waiting: 0, appending: false }
    this.#segments.add(segment)
    return segment
  }

  async #appendTo(segment: Segment, writes: readonly StoreWrite[]): Promise<Spilled[]> {
    const frames = writes.map(frameOf)
    segment.appending = true
    try {
      await writeWhole(segment, frames)
    } finally {
      segment.appending = false
    }
    segment.waiting += frames.length
    return frames.map(({ size }) => {
      const at = segment.size
      segment.size += size
      return { segment, at, size }
    })
  }
}

/** At an explicit position, so that the next attempt overwrites a partial write. */
async function writeWhole(segment: Segment, frames: readonly Frame[]): Promise<void> {
  const size = frames.reduce((sum, frame) => sum + frame.size, 0)
  const { bytesWritten } = await segment.handle.writev(
    frames.flatMap((frame) => frame.parts),
    segment.size,
  )
  if (bytesWritten < size) throw new Error(`only ${bytesWritten} of ${size} bytes fitted into ${segment.path}`)
}

/** Groups neighbours in one segment, to read them together. */
function runsOf(spilled: readonly Spilled[]): Spilled[][] {
  const runs: Spilled[][] = []
  for (const one of spilled) {
    const run = runs.at(-1)
    if (run?.[0]?.segment === one.segment) run.push(one)
    else runs.push([one])
  }
  return runs
}

async function readRun(run: readonly Spilled[]): Promise<(StoreWrite | undefined)[]> {
  const first = run[0]
  const last = run.at(-1)
  if (first === undefined || last === undefined) return []
  const bytes = Buffer.allocUnsafe(last.at + last.size - first.at)
  try {
    const { bytesRead } = await first.segment.handle.read(bytes, 0, bytes.length, first.at)
    const read = bytes.subarray(0, bytesRead)
    return run.map(({ at }) => writeAt(read, at - first.at)?.write)
  } catch {
    return run.map(() => undefined)
  }
}
