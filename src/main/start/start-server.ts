import type { Server as Listener } from 'node:net'
import { sourceName } from '../../config/sources.js'
import { NodeSampler } from '../../host/node-status.js'
import { logRefusedCallers } from '../../log/refused-callers.js'
import { allowedCallers, type ChangeableCallers } from '../../tls/callers.js'
import { checkCallers } from '../rpc/check-callers.js'
import { Connections } from '../rpc/connections.js'
import { onFailedHandshake } from '../rpc/failed-handshakes.js'
import { Handlers } from '../rpc/handler.js'
import { createServer, type Services, serve } from '../rpc/server.js'
import type { StartContext } from './context.js'
import { listen } from './listen.js'
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
  const { counts } = services
  const logRefusal = logRefusedCallers(log)
  const report = (problem: string, peer: string) => {
    if (counts) counts.refusedCallers++
    logRefusal(problem, peer)
  }
  const server = createServer({ ...services, sampler }, handlers, checkCallers(callers, connections, report))
  onFailedHandshake(server, report)
  const listener = await listen(config, sourceName(config), log)
  closers.add(serve({ listener, connections, server, handlers }, tls.credentials))
  return { listener, callers }
}
