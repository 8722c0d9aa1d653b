import { type PoolTask, StartPool } from './start-pool.js'

// One pool in a process of its own: the cost of a start depends on the memory of the process.
// launch-process HEAP_MB

const pool = await StartPool.open(Number(process.argv[2]))
process.on('message', async (task: PoolTask | 'close') => {
  if (task !== 'close') {
    process.send?.(await pool.measure(task).catch((error: Error) => error.message))
    return
  }
  await pool.close()
  process.disconnect()
})
process.send?.('ready')
