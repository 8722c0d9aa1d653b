import type { Database, RootDatabase } from 'lmdb'
import type { Gap } from '../gaps.js'

type ChunkKey = [id: string, from: number, to: number]

/** Output of executions, in chunks that never overlap. Writes are made inside a transaction of the caller's. */
export class OutputChunks {
  readonly #chunks: Database<Buffer, ChunkKey>
  /** Ids in whose output a gap was seen, so that all others need no search for one. */
  readonly #incomplete: Database<string, string>

  constructor(root: RootDatabase) {
    this.#chunks = root.openDB({ name: 'chunks', encoding: 'binary' })
    this.#incomplete = root.openDB({ name: 'incomplete', encoding: 'string' })
  }

  /** The position after the last byte that is stored; 0 where none is. */
  length(id: string): number {
    return this.#chunkBefore(id, Number.MAX_SAFE_INTEGER)?.[2] ?? 0
  }

  /** Bytes [from, to); fewer where the output ends or a gap begins before `to`. */
  read(id: string, from: number, to: number): Buffer {
    const end = Math.min(to, this.length(id))
    if (end <= from) return Buffer.alloc(0)
    const output = Buffer.allocUnsafe(end - from)
    const first = this.#chunkBefore(id, from)?.[1] ?? from
    let at = from
    for (const { key, value } of this.#chunks.getRange({ start: [id, first], end: [id, end] })) {
      const skipped = at - key[1]
      if (skipped < 0) break
      if (skipped < value.length) at += value.copy(output, at - from, skipped)
    }
    return output.subarray(0, at - from)
  }

  /** Adds the bytes that are not stored yet. Those that are stored are the same: a write may come twice. */
  put(id: string, offset: number, bytes: Buffer): void {
    const end = offset + bytes.length
    const before = this.#chunkBefore(id, offset)?.[2] ?? 0
    if (before < offset) this.#incomplete.putSync(id, '')
    let at = Math.max(offset, before)
    const put = (to: number) => {
      if (at < to) this.#chunks.putSync([id, at, to], bytes.subarray(at - offset, to - offset))
    }
    for (const [, from, to] of [...this.#chunks.getKeys({ start: [id, at], end: [id, end] })]) {
      put(from)
      at = to
    }
    put(end)
  }

  /** The output has ended and should have `length` bytes. */
  end(id: string, length: number): void {
    if (this.length(id) < length) this.#incomplete.putSync(id, '')
  }

  /** What is missing up to `length`, or up to the last byte where that is further. */
  gaps(id: string, length: number): Gap[] {
    if (!this.#incomplete.doesExist(id)) return []
    const gaps: Gap[] = []
    let reached = 0
    for (const [, from, to] of this.#chunks.getKeys({ start: [id], end: [id, Number.MAX_SAFE_INTEGER] })) {
      if (reached < from) gaps.push({ from: reached, to: from })
      reached = to
    }
    if (reached < length) gaps.push({ from: reached, to: length })
    return gaps
  }

  /** Deletes the output, at most `most` chunks of it. Answers how many it deleted; fewer than `most`: all is deleted. */
  drop(id: string, most: number): number {
    const range = { start: [id], end: [id, Number.MAX_SAFE_INTEGER] }
    const keys = [...this.#chunks.getKeys(Number.isFinite(most) ? { ...range, limit: most } : range)]
    for (const key of keys) this.#chunks.removeSync(key)
    if (keys.length < most) this.#incomplete.removeSync(id)
    return keys.length
  }

  /** The last chunk that begins at `offset` or before. */
  #chunkBefore(id: string, offset: number): ChunkKey | undefined {
    const start: ChunkKey = [id, offset, Number.MAX_SAFE_INTEGER]
    const [key] = this.#chunks.getKeys({ start, end: [id], reverse: true, limit: 1 })
    return key
  }
}
