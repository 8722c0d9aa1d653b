import type { Server as Listener } from 'node:net'
import type { AgentConfig } from '../../config/config.js'
import { sourceName } from '../../config/sources.js'
import { awaitListener, listenProblem } from '../../host/listener.js'
import { NodeSampler } from '../../host/node-status.js'
import { StartRefused } from '../../host/start-refused.js'
import type { Log } from '../../log/log.js'
import { allowedCallers, type ChangeableCallers } from '../../tls/callers.js'
import { checkCallers } from '../rpc/check-callers.js'
import { Connections } from '../rpc/connections.js'
import { Handlers } from '../rpc/handler.js'
import { createServer, type Services, serve } from '../rpc/server.js'
import type { StartContext } from './context.js'
import type { Host } from './prepare-host.js'

/** Serves calls from now on. Rejects with StartRefused. */
export async function startServer(
  { config, log, closers }: StartContext,
  { tls }: Host,
  services: Omit<Services, 'sampler'>,
): Promise<{ readonly listener: Listener; readonly callers: ChangeableCallers }> {
  const sampler = new NodeSampler()
  closers.add(() => sampler.close())
  const callers = allowedCallers(config.tls)
  const handlers = new Handlers(log)
  const connections = new Connections()
  const server = createServer({ ...services, sampler }, handlers, checkCallers(callers, connections, log))
  const listener = await listen(config, log)
  closers.add(serve({ listener, connections, server, handlers }, tls.credentials))
  return { listener, callers }
}

async function listen(config: AgentConfig, log: Log): Promise<Listener> {
  const problem = (error: NodeJS.ErrnoException) => {
    const { message, fix } = listenProblem(config, error)
    return `${sourceName(config)}: cannot listen on ${config.host} port ${config.port}: ${message}; ${fix}`
  }
  const listener = await awaitListener(config, (error) => log.warn(`${problem(error)}; trying for some seconds`)).catch(
    (error: NodeJS.ErrnoException) => {
      throw new StartRefused(problem(error))
    },
  )
  return listener.on('error', ({ message }) => log.warn({ cause: message }, 'a connection was not accepted'))
}
