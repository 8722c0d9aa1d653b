import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'
import type { Command } from 'commander'
import type { AgentConfig, TlsConfig } from '../config/config.js'
import { parseAddress } from './address.js'
import { type AgentConnection, openConnection } from './connection.js'
import { CommandFailure, explain, isServiceError } from './failure.js'
import { loadNamedConfig } from './named-config.js'

/** How a command finds its agent and identifies itself; see `connectionOptions`. */
export interface ConnectionOptions {
  readonly config?: string
  readonly address?: string
  readonly ca?: string
  readonly cert?: string
  readonly key?: string
}

type TlsFiles = Pick<TlsConfig, 'caCert' | 'certFile' | 'keyFile'>

/** Adds the options that select the agent. */
export function connectionOptions(command: Command): Command {
  return command
    .optionsGroup('Which agent:')
    .option(
      '--config <FILE>',
      'agent.yaml to take address and certificates from (default: $AGENT_CONFIG, ./agent.yaml)',
    )
    .option('--address <HOST:PORT>', 'agent to talk to (default: $FLUX_AGENT_ADDRESS, else the one of agent.yaml)')
    .option('--ca <FILE>', 'CA certificate the agent is verified by')
    .option('--cert <FILE>', 'client certificate')
    .option('--key <FILE>', 'key of the client certificate')
}

/** Runs `use` with a connection to the selected agent. Throws CommandFailure for a gRPC status, with the fix. */
export async function withAgent<T>(
  options: ConnectionOptions,
  use: (connection: AgentConnection) => Promise<T>,
): Promise<T> {
  const connection = connect(options)
  try {
    return await use(connection)
  } catch (error) {
    throw isServiceError(error) ? new CommandFailure(explain(error, connection.address)) : error
  } finally {
    connection.close()
  }
}

/** The address of a local agent with this configuration. */
export function localAddress(config: AgentConfig): string {
  if (config.port === 0) throw new CommandFailure('agent.yaml takes any free port (port: 0): pass --address HOST:PORT')
  const host = config.host === '0.0.0.0' || config.host === '::' ? '127.0.0.1' : config.host
  return isIPv6(host) ? `[${host}]:${config.port}` : `${host}:${config.port}`
}

/** Channel credentials from PEM files. */
export function tlsCredentials({ caCert, certFile, keyFile }: TlsFiles): ChannelCredentials {
  return credentials.createSsl(readPem(caCert), readPem(keyFile), readPem(certFile))
}

function connect(options: ConnectionOptions): AgentConnection {
  const { address = process.env['FLUX_AGENT_ADDRESS'], ca, cert, key } = options
  if (address !== undefined) parseAddress(address)
  // With all options given, no agent.yaml is read: only root may be able to.
  if (address && ca && cert && key)
    return openConnection(address, tlsCredentials({ caCert: ca, certFile: cert, keyFile: key }))
  const { config } = loadNamedConfig(options)
  return openConnection(address ?? localAddress(config), chooseCredentials(options, config.tls))
}

function chooseCredentials({ ca, cert, key }: ConnectionOptions, tls: TlsConfig | undefined): ChannelCredentials {
  const caCert = ca ?? tls?.caCert
  const certFile = cert ?? tls?.certFile
  const keyFile = key ?? tls?.keyFile
  if (caCert && certFile && keyFile) return tlsCredentials({ caCert, certFile, keyFile })
  if (ca || cert || key) throw new CommandFailure('agent.yaml has no tls section: pass --ca, --cert and --key together')
  return credentials.createInsecure()
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new CommandFailure(`cannot read ${file}: ${(error as NodeJS.ErrnoException).code}`)
  }
}
