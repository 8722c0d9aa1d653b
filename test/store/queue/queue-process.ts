import { WriteQueue } from '../../../src/store/queue/write-queue.js'
import { RedisStore } from '../../../src/store/redis/redis-store.js'
import { ended, noise, output, running } from '../records.js'

/**
 * Arguments: Redis address, folder, id, bytes of output to push. Its store is away; tells its parent once all of it has
 * left memory, and waits to be killed.
 */
const [address = '', dir = '', id = '', size = ''] = process.argv.slice(2)
const queue = new WriteQueue({
  store: new RedisStore(address),
  dir,
  boundBytes: 1e9,
  report: ({ kind }) => {
    if (kind !== 'away') throw new Error(kind)
  },
})
const bytes = noise(Number(size))
const writes = [queue.push({ kind: 'begin', record: running(id) })]
for (let at = 0; at < bytes.length; at += 50_000) {
  writes.push(queue.push(output(id, at, bytes.subarray(at, at + 50_000))))
}
writes.push(queue.push({ kind: 'end', record: ended(id) }))
await Promise.all(writes.map((write) => write.durable()))
process.send?.('on disk')
