import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { Worker } from 'node:worker_threads'
import { portHolder } from '../../../src/os/linux/port-holder.js'

/** Opens and closes files for ever. */
const CHURN = `
const { closeSync, openSync } = require('node:fs')
for (;;) Array.from({ length: 50 }, () => openSync('/dev/null')).forEach((fd) => closeSync(fd))
`

async function listening(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  return (server.address() as { readonly port: number }).port
}

async function connected(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  return socket
}

describe('the holder of a port', { skip: process.platform !== 'linux' }, () => {
  it('is found while it opens and closes other files', async (t) => {
    const port = await listening(t)
    // So that the files that come and go have lower numbers than the connection.
    const lower = Array.from({ length: 60 }, () => openSync('/dev/null', 'r'))
    const held = await connected(port)
    for (const fd of lower) closeSync(fd)
    const churn = new Worker(CHURN, { eval: true })
    t.after(async () => {
      await churn.terminate()
      held.destroy()
    })
    await once(churn, 'online')
    for (let i = 0; i < 100; i++) {
      const holder = portHolder(held.localPort as number)
      assert.deepEqual([holder?.listens, holder?.process?.pid], [false, process.pid], `look ${i}`)
    }
  })
})
