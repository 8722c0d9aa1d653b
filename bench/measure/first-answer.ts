import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Target } from '../targets/target.js'
import { controlClient } from './control.js'

const RETRY_MS = 1
const LIMIT_MS = 60_000

/** When a server that is being started has answered its first HealthCheck, by `performance.now`. */
export async function firstAnswer(target: Target): Promise<number> {
  const { host, port } = target
  const limit = performance.now() + LIMIT_MS
  // gRPC's client would back off between attempts.
  while (!(await accepts(host, port))) {
    if (performance.now() > limit) throw new Error(`nobody listens on port ${port} after ${LIMIT_MS / 1000} s`)
    await sleep(RETRY_MS)
  }
  const { calls, close } = controlClient(target)
  await calls.health().finally(close)
  return performance.now()
}

async function accepts(host: string, port: number): Promise<boolean> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
