import { isIPv6 } from 'node:net'
import { credentials } from '@grpc/grpc-js'
import { openConnection, tlsCredentials } from '../src/cli/connect.js'
import { Calls } from '../test/support/calls.js'
import type { Target } from './target.js'

/** The contract's calls beside those that are measured: they deploy, cancel and look. */
export interface ControlClient {
  readonly calls: Calls
  close(): void
}

export function controlClient({ host, port, tls }: Target): ControlClient {
  const address = isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`
  const { agent, close } = openConnection(
    address,
    tls ? tlsCredentials({ caCert: tls.ca, certFile: tls.cert, keyFile: tls.key }) : credentials.createInsecure(),
  )
  return { calls: new Calls(agent), close }
}
