import { fileURLToPath } from 'node:url'
import { type ChannelOptions, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import type { ProtoGrpcType as FluxProto } from './generated/flux.js'
import type { ProtoGrpcType as OperationsProto } from './generated/operations.js'

export type { AgentServiceClient, AgentServiceHandlers } from './generated/flux/AgentService.js'
export type { OperationsClient, OperationsHandlers } from './generated/flux/operations/Operations.js'

// The options `npm run generate` passes too: what arrives has the shape the generated types promise.
const definition = loadSync(['flux.proto', 'operations.proto'], {
  includeDirs: [fileURLToPath(new URL('../../proto/', import.meta.url))],
  keepCase: true,
  longs: Number,
  enums: String,
  defaults: true,
  oneofs: true,
})
const loaded = loadPackageDefinition(definition) as unknown as FluxProto & OperationsProto

/** Client constructor and, as `.service`, definition of the control plane's contract. */
export const AgentService = loaded.flux.AgentService
export const AgentServiceDefinition = AgentService.service

/** Client constructor and, as `.service`, definition of what an operator needs beside it. */
export const Operations = loaded.flux.operations.Operations
export const OperationsDefinition = Operations.service

/** What the control plane accepts and sends in one message. */
export const MAX_MESSAGE_BYTES = 50 * 1024 * 1024

/** For servers and clients alike. */
export const messageLimits: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
}

/** The name on every agent's certificate, whatever address it is reached by. */
export const TLS_SERVER_NAME = 'flux-agent'
