import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { credentials, status } from '@grpc/grpc-js'
import type { HealthCheckResponse__Output } from '../generated/flux/HealthCheckResponse.js'
import type { AgentConfig } from '../main/config.js'
import { describeListener, listenProblem, openListener } from '../main/listener.js'
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
  if (config.port === 0) return ok('port', 'any free one')
  try {
    const listener = await openListener(config)
    const where = describeListener(listener)
    listener.close()
    return ok('port', `${where} is free`)
  } catch (error) {
    const problem = listenProblem(config, error as NodeJS.ErrnoException)
    const agent = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' && (await findAgent(config))
    return agent || fail('port', `${config.port} on ${config.host}: ${problem.message}`, problem.mend)
  }
}

/** What is known of an agent that answers there. */
async function findAgent(config: AgentConfig): Promise<Finding | undefined> {
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
    return undefined
  }
}
