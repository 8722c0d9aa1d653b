import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { credentials, status } from '@grpc/grpc-js'
import type { HealthCheckResponse__Output } from '../generated/flux/HealthCheckResponse.js'
import type { AgentConfig } from '../main/config.js'
import { openStore } from '../store/open.js'
import { answer, localAddress, openConnection, tlsCredentials } from './connect.js'
import { isServiceError } from './failure.js'
import { type Finding, fail, ok } from './finding.js'

const STORE_SECONDS = 5
const RETRY_MS = 100

/** Whether the store answers. */
export async function checkStore({ store: location }: AgentConfig): Promise<Finding> {
  if (location.kind === 'embedded' && !existsSync(location.path)) return ok('store', `${location.path}, to be made`)
  const mend =
    location.kind === 'redis'
      ? 'start Redis, correct redis_addr, or keep everything on this node by redis_addr: embedded'
      : `make ${location.path} and everything in it the agent's own`
  try {
    const store = await openStore(location)
    const problem = await eventually(() => store.exists('flux-agent-doctor'))
    const finding = problem ? fail('store', `${store.address}: ${problem.message}`, mend) : ok('store', store.address)
    await store.close()
    return finding
  } catch (error) {
    return fail('store', (error as Error).message, mend)
  }
}

/** The last failure, where none of the attempts succeeded in time: Redis connects in the background. */
async function eventually(attempt: () => Promise<unknown>): Promise<Error | undefined> {
  const deadline = Date.now() + STORE_SECONDS * 1000
  for (;;) {
    const problem = await attempt().then(
      () => undefined,
      (error: Error) => error,
    )
    if (!problem || Date.now() >= deadline) return problem
    await delay(RETRY_MS)
  }
}

/** Whether the agent can listen, or already does. */
export async function checkPort(config: AgentConfig): Promise<Finding> {
  const { host, port } = config
  if (port === 0) return ok('port', 'any free one')
  const code = await bindError(host, port)
  switch (code) {
    case undefined:
      return ok('port', `${port} is free on ${host}`)
    case 'EADDRINUSE':
      return checkListener(config)
    case 'EACCES':
      return fail('port', `${port} is not this user's to listen on`, 'run the agent as root, or use a port over 1023')
    case 'EADDRNOTAVAIL':
      return fail('port', `this machine has no address ${host}`, 'set host to an address of this machine, or 0.0.0.0')
    default:
      return fail('port', `${host}:${port} cannot be listened on (${code})`, 'configure another host or port')
  }
}

function bindError(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code))
    server.listen({ host, port }, () => server.close(() => resolve(undefined)))
  })
}

async function checkListener(config: AgentConfig): Promise<Finding> {
  const address = localAddress(config)
  try {
    const { agent, close } = openConnection(
      address,
      config.tls ? tlsCredentials(config.tls) : credentials.createInsecure(),
    )
    const health = await answer<HealthCheckResponse__Output>(
      (call, done) => agent.HealthCheck({}, call, done),
      3,
    ).finally(close)
    return ok('port', `a flux-agent, version ${health.version}, listens on ${address}`)
  } catch (error) {
    // The agent's own certificate is no client's: being turned away is an answer too.
    if (isServiceError(error) && (error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED))
      return ok('port', `a flux-agent listens on ${address}`)
    const find = process.platform === 'win32' ? `netstat -abno` : `ss -ltnp 'sport = :${config.port}'`
    return fail('port', `${config.port} is taken by another program`, `stop it (${find} names it) or set another port`)
  }
}
