import { EmbeddedStore } from '../../../src/store/embedded/embedded-store.js'
import { noise, output, running } from '../records.js'

/**
 * Arguments: folder, id, how many times 10 000 bytes of output to write. Tells its parent what is stored, bytes, and
 * prints how it was rejected.
 */
const [path = '', id = '', times = ''] = process.argv.slice(2)
// As a disk that is full: with a limit on the size of files, a write is refused instead of ending the process.
process.on('SIGXFSZ', () => {})
const store = new EmbeddedStore(path)
await store.begin(running(id))
const bytes = noise(Math.min(Number(times), 1_000) * 10_000)
let at = 0
try {
  for (; at < bytes.length; at += 10_000) {
    await store.write([output(id, at, bytes.subarray(at, at + 10_000))])
    process.send?.(at + 10_000)
  }
} catch (error) {
  process.stdout.write(`${error instanceof Error ? error.name : error} after ${at}`)
}
await store.close()
