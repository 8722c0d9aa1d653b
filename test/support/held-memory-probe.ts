import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { threadId } from 'node:worker_threads'

/**
 * Preloaded into an agent (`--import`), in each of its threads: collects garbage all the time and tells what memory is
 * held by something then, in a file of its own. What the process has besides, the allocator keeps for later.
 */
const INTERVAL_MS = 500

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const file = join(process.env['HELD_MEMORY_DIR'] as string, String(threadId))
const written = `${process.env['HELD_MEMORY_DIR']}-${threadId}`

setInterval(() => {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  // Whole, whenever it is read: an empty one would count as nothing held.
  writeFileSync(written, String(heapUsed + external))
  renameSync(written, file)
}, INTERVAL_MS).unref()
