import { type ChannelOptions, loadPackageDefinition } from '@grpc/grpc-js'
import { loadSync, type PackageDefinition } from '@grpc/proto-loader'
import type { ProtoGrpcType as FluxProto } from './generated/flux.js'
import type { ProtoGrpcType as OperationsProto } from './generated/operations.js'
import { installation } from './installation.js'

export type { AgentServiceClient, AgentServiceHandlers } from './generated/flux/AgentService.js'
export type { OperationsClient, OperationsHandlers } from './generated/flux/operations/Operations.js'

/** In the protos' folder. */
export const OWN_PROTOS: string[] = ['flux.proto', 'operations.proto']
const loaded = loadPackageDefinition(loadProtos(OWN_PROTOS)) as unknown as FluxProto & OperationsProto

/** Blocks for some milliseconds. */
export function loadProtos(files: string[]): PackageDefinition {
  // The same options as `npm run generate`, so that messages have the shape of the generated types.
  return loadSync(files, {
    includeDirs: [installation.protoFolder],
    keepCase: true,
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  })
}

export const AGENT_SERVICE = 'flux.AgentService'
export const OPERATIONS = 'flux.operations.Operations'

/** Client constructor and, as `.service`, definition of the control plane's contract. */
export const AgentService = loaded.flux.AgentService
export const AgentServiceDefinition = AgentService.service

/** Client constructor and, as `.service`, definition of the operators' calls. */
export const Operations = loaded.flux.operations.Operations
export const OperationsDefinition = Operations.service

/** The control plane's limit for one message, each way. */
export const MAX_MESSAGE_BYTES = 50 * 1024 * 1024

/** For servers and clients. */
export const messageLimits: ChannelOptions = {
  'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
  'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
}

/** The name in every agent's certificate, independent of its address. */
export const TLS_SERVER_NAME = 'flux-agent'
