import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { credentials, status } from '@grpc/grpc-js'
import type { AgentConfig } from '../../config/config.js'
import type { HealthCheckResponse__Output } from '../../generated/flux/HealthCheckResponse.js'
import type { NodeStatusResponse__Output } from '../../generated/flux/NodeStatusResponse.js'
import { describeListener, listenProblem, openListener } from '../../host/listener.js'
import { openStore } from '../../store/open.js'
import { StoreUnavailable } from '../../store/store.js'
import { localAddress, tlsCredentials } from '../connect.js'
import { answer, openConnection } from '../connection.js'
import { isServiceError } from '../failure.js'
import { type Finding, fail, ok } from './finding.js'

const STORE_SECONDS = 5
const RETRY_MS = 100

/** Checks whether the store accepts everything that an agent does. */
export async function checkStore({ store: location }: AgentConfig): Promise<Finding> {
  if (location.kind === 'embedded' && !existsSync(location.path)) return ok('store', `${location.path}, to be made`)
  try {
    const store = await openStore(location)
    try {
      await eventually(() => store.probe())
      return ok('store', `${store.address} takes what an agent writes`)
    } finally {
      await store.close()
    }
  } catch (error) {
    const otherwise = 'correct redis_addr, or keep everything on this node by redis_addr: embedded'
    if (error instanceof StoreUnavailable) return fail('store', error.problem, error.fix ?? otherwise)
    return fail('store', (error as Error).message, otherwise)
  }
}

/** Retries for STORE_SECONDS, as the store may be starting; then rejects with the last error. */
async function eventually(attempt: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + STORE_SECONDS * 1000
  for (;;) {
    try {
      await attempt()
      return
    } catch (error) {
      if ((error instanceof StoreUnavailable && error.permanent) || Date.now() >= deadline) throw error
    }
    await delay(RETRY_MS)
  }
}

/** Checks whether the agent can listen, or already does. */
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
    return agent || fail('port', `${config.port} on ${config.host}: ${problem.message}`, problem.fix)
  }
}

/** Describes an agent that answers there. */
async function findAgent(config: AgentConfig): Promise<Finding | undefined> {
  const address = localAddress(config)
  try {
    const { agent, close } = openConnection(
      address,
      config.tls ? tlsCredentials(config.tls) : credentials.createInsecure(),
    )
    try {
      const health = await answer<HealthCheckResponse__Output>((call, done) => agent.HealthCheck({}, call, done), 3)
      const { agent_id: other } = await answer<NodeStatusResponse__Output>(
        (call, done) => agent.ReportNodeStatus({}, call, done),
        3,
      )
      if (other === config.agentId) return ok('port', `a flux-agent, version ${health.version}, listens on ${address}`)
      return fail('port', `the agent ${JSON.stringify(other)} listens on ${address}`, 'stop it, or give another port')
    } finally {
      close()
    }
  } catch (error) {
    // The agent's own certificate may not call: a refusal also shows that an agent is there.
    if (isServiceError(error) && (error.code === status.PERMISSION_DENIED || error.code === status.UNAUTHENTICATED))
      return ok('port', `a flux-agent listens on ${address}`)
    return undefined
  }
}
