import { EmbeddedStore } from '../../src/store/embedded.js'
import { noise, output, running } from './records.js'

/** Arguments: folder, id, how many times 10 000 bytes of output to write. Tells its parent what is stored, bytes. */
const [path = '', id = '', times = ''] = process.argv.slice(2)
const store = new EmbeddedStore(path)
await store.begin(running(id))
const bytes = noise(Math.min(Number(times), 1_000) * 10_000)
for (let at = 0; at < bytes.length; at += 10_000) {
  await store.write([output(id, at, bytes.subarray(at, at + 10_000))])
  process.send?.(at + 10_000)
}
await store.close()
