import type { Server } from 'node:net'
import type { Endpoint } from '../../config/endpoint.js'
import { awaitListener, listenProblem } from '../../host/listener.js'
import { StartRefused } from '../../host/start-refused.js'
import type { Log } from '../../log/log.js'

/**
 * Listens; `place` is where the configuration says so. `server`: one that does not listen yet. Rejects with
 * StartRefused.
 */
export async function listen(endpoint: Endpoint, place: string, log: Log, server?: Server): Promise<Server> {
  const problem = (error: NodeJS.ErrnoException) => {
    const { message, fix } = listenProblem(endpoint, error)
    return `${place}: cannot listen on ${endpoint.host} port ${endpoint.port}: ${message}; ${fix}`
  }
  const taken = (error: NodeJS.ErrnoException) => log.warn(`${problem(error)}; trying for some seconds`)
  const listener = await awaitListener(endpoint, taken, server).catch((error: NodeJS.ErrnoException) => {
    throw new StartRefused(problem(error))
  })
  return listener.on('error', ({ message }) => log.warn({ cause: message }, 'a connection was not accepted'))
}
