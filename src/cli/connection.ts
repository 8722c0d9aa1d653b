import {
  type ChannelCredentials,
  type ClientUnaryCall,
  logVerbosity,
  type requestCallback,
  setLogVerbosity,
} from '@grpc/grpc-js'
import {
  AgentService,
  type AgentServiceClient,
  messageLimits,
  Operations,
  type OperationsClient,
  TLS_SERVER_NAME,
} from '../proto.js'
import { isNear, parseAddress } from './address.js'

/** Both services of one agent, over one channel. */
export interface AgentConnection {
  readonly address: string
  readonly agent: AgentServiceClient
  readonly operations: OperationsClient
  close(): void
}

/** Makes a unary call; rejects with its ServiceError. */
export function answer<Response>(
  start: (options: { deadline: number }, done: requestCallback<Response>) => ClientUnaryCall,
  seconds = 10,
): Promise<Response> {
  return new Promise((resolve, reject) => {
    start({ deadline: Date.now() + seconds * 1000 }, (error, response) => {
      if (error !== null) reject(error)
      else if (response !== undefined) resolve(response)
    })
  })
}

// grpc-js' own lines on stderr repeat the status of the call.
if (process.env['GRPC_VERBOSITY'] === undefined) setLogVerbosity(logVerbosity.NONE)

/** Makes clients for an address; they connect with the first call. */
export function openConnection(address: string, channelCredentials: ChannelCredentials): AgentConnection {
  const options = {
    ...messageLimits,
    'grpc.ssl_target_name_override': TLS_SERVER_NAME,
    // grpc-js would use http_proxy even for this machine.
    ...(isNear(parseAddress(address).host) && { 'grpc.enable_http_proxy': 0 }),
  }
  const agent = new AgentService(address, channelCredentials, options)
  const operations = new Operations(address, channelCredentials, { channelOverride: agent.getChannel() })
  return { address, agent, operations, close: () => agent.close() }
}
