import { isIPv6 } from 'node:net'
import { credentials } from '@grpc/grpc-js'
import { Calls } from '../../harness/calls.js'
import { tlsCredentials } from '../../src/cli/connect.js'
import { openConnection } from '../../src/cli/connection.js'
import type { AgentNeeds, Target, Targets } from '../targets/target.js'

/** Calls that are not measured: they deploy, cancel and read. */
export interface ControlClient {
  readonly calls: Calls
  close(): void
}

/** A target, with a client. */
export interface Server {
  readonly target: Target
  readonly calls: Calls
}

export function controlClient({ host, port, tls }: Target): ControlClient {
  const address = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
  const { agent, close } = openConnection(
    address,
    tls ? tlsCredentials({ caCert: tls.ca, certFile: tls.cert, keyFile: tls.key }) : credentials.createInsecure(),
  )
  return { calls: new Calls(agent), close }
}

/** Opens targets and clients, and closes both after `use`. */
export async function withServers(
  targets: Targets,
  needs: AgentNeeds,
  use: (servers: readonly Server[]) => Promise<void>,
): Promise<void> {
  const open = await targets.open(needs)
  const clients = open.all.map((target) => ({ target, ...controlClient(target) }))
  try {
    await use(clients)
  } finally {
    for (const client of clients) client.close()
    await open.close()
  }
}
