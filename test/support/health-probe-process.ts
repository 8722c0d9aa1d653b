import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { ServerCredentials } from '@grpc/grpc-js'
import { checkHealth, plainClient, serveHealth } from './health-server.js'
import { latencies } from './latencies.js'

// The process of a HealthProbe, and with `serve` that of the idle server it compares with.

const PAUSE_MS = 4

async function serveIdle(): Promise<void> {
  const { port } = await serveHealth(ServerCredentials.createInsecure())
  process.send?.(port)
}

async function probe(agentPort: number): Promise<void> {
  const idle = fork(fileURLToPath(import.meta.url), ['serve'])
  const [idlePort] = await once(idle, 'message')
  const clients = [agentPort, Number(idlePort)].map(plainClient)
  await Promise.all(clients.map(checkHealth))
  process.send?.('ready')
  for (;;) {
    await once(process, 'message')
    let over = false
    const lanes = clients.map(async (client) => {
      const samples: number[] = []
      while (!over) {
        const begun = performance.now()
        await checkHealth(client)
        samples.push(performance.now() - begun)
        await sleep(PAUSE_MS)
      }
      return latencies(samples)
    })
    await once(process, 'message')
    over = true
    const [agent, own] = await Promise.all(lanes)
    process.send?.({ agent, idle: own })
  }
}

// With whoever started it gone, there is nobody to measure for.
process.once('disconnect', () => process.exit())
const [what] = process.argv.slice(2)
if (what === 'serve') await serveIdle()
else await probe(Number(what))
