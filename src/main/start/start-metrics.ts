import { endpointText } from '../../config/endpoint.js'
import { placeOf } from '../../config/sources.js'
import { boundTo } from '../../host/listener.js'
import { platform } from '../../os/index.js'
import type { Counts } from '../metrics/counts.js'
import type { ServingSources, Sources } from '../metrics/sources.js'
import type { StartContext } from './context.js'
import { listen } from './listen.js'
import type { Host } from './prepare-host.js'

/** Metrics that are served. */
export interface MetricsService {
  readonly counts: Counts
  /** The port it listens on. */
  readonly port: number
  /** Call once the agent serves. */
  serve(serving: ServingSources): void
}

/**
 * Serves metrics, before the agent itself serves: probes are to see that it waits for its store. Undefined where that is
 * not configured; then none of the code for it is loaded. Rejects with StartRefused.
 */
export async function startMetrics(
  { config, log, state, closers }: StartContext,
  { starter, tls }: Host,
): Promise<MetricsService | undefined> {
  const { metrics: endpoint, agentId } = config
  if (!endpoint) return undefined
  const [{ Counts }, { watchDelay }, { createHttpServer, closeHttpServer }, { routesOf }, { Recent }] =
    await Promise.all([
      import('../metrics/counts.js'),
      import('../metrics/delay.js'),
      import('../http/server.js'),
      import('../http/routes.js'),
      import('../metrics/recent.js'),
    ])
  const counts = new Counts()
  const sources: Sources = {
    agentId,
    state,
    counts,
    certificates: () => tls.expiry,
    executionsUse: () => platform.executionsUse(starter),
  }
  const recent = new Recent(counts, () => sources.serving?.load)
  const server = createHttpServer(routesOf(sources, recent), endpoint.allowedHosts, log)
  await listen(endpoint, placeOf(config, 'metrics.listen'), log, server)
  closers.add(() => closeHttpServer(server))
  closers.add(watchDelay(counts.delay))
  closers.add(recent.watch())
  const bound = boundTo(server)
  log.info({ url: `http://${endpointText(bound)}/` }, 'metrics are served')
  return {
    counts,
    port: bound.port,
    serve: (serving) => {
      sources.serving = serving
    },
  }
}
