import { readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Store, StoreWrite } from '../store.js'
import { LateBegins } from './late-begins.js'
import { BATCH_BYTES, BATCH_WRITES } from './pending.js'
import { writeAt } from './spill-frame.js'

/** Ids of the queues that have writes on disk below `dir`, whether they are closed or not. */
export async function leftoverQueues(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch(orNothing)
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
}

/**
 * Stores, in order, the writes that closed queues left on disk below `dir`, and deletes the files; answers how many
 * writes. Storing a write twice changes nothing. Skips the rest of a damaged file, and executions whose id another one
 * has; `skipped` gets the reason. Rejects with StoreUnavailable, or the disk's error; what is not stored stays on disk,
 * so it can be called again.
 */
export async function replayLeftovers(
  dir: string,
  store: Pick<Store, 'write'>,
  queues: readonly string[],
  skipped: (why: string) => void,
): Promise<number> {
  let writes = 0
  const late = new LateBegins()
  for (const queue of queues) {
    const folder = join(dir, queue)
    const names = (await readdir(folder).catch(orNothing)).filter((name) => name.endsWith('.writes'))
    for (const name of names.sort()) {
      const file = join(folder, name)
      for (const batch of batchesIn(file, await readFile(file), skipped)) {
        const taken = await store.write(late.allowed(batch))
        for (const id of taken) skipped(`${file}: execution ${id}: another one has that id, so it is not recorded`)
        late.note(batch, taken)
        writes += batch.length
      }
      await rm(file)
    }
    await rmdir(folder).catch(() => undefined)
  }
  return writes
}

function* batchesIn(file: string, bytes: Buffer, skipped: (why: string) => void): Generator<StoreWrite[]> {
  let batch: StoreWrite[] = []
  let batchStart = 0
  let at = 0
  while (at < bytes.length) {
    const found = writeAt(bytes, at)
    if (found === undefined) {
      skipped(`${file}: the last ${bytes.length - at} bytes are damaged or cut off`)
      break
    }
    if (batch.length === BATCH_WRITES || (batch.length > 0 && found.next - batchStart > BATCH_BYTES)) {
      yield batch
      batch = []
      batchStart = at
    }
    batch.push(found.write)
    at = found.next
  }
  if (batch.length > 0) yield batch
}

function orNothing(error: NodeJS.ErrnoException): never[] {
  if (error.code === 'ENOENT') return []
  throw error
}
