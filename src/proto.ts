import { type ChannelOptions, makeClientConstructor, type ServiceDefinition } from '@grpc/grpc-js'
import type { ProtoGrpcType as FluxProto } from './generated/flux.js'
import { type Message, services } from './generated/messages.js'
import type { ProtoGrpcType as OperationsProto } from './generated/operations.js'
import { MESSAGE_SHAPE } from './load-protos.js'

export type { AgentServiceClient, AgentServiceHandlers } from './generated/flux/AgentService.js'
export type { OperationsClient, OperationsHandlers } from './generated/flux/operations/Operations.js'

export const AGENT_SERVICE = 'flux.AgentService'
export const OPERATIONS = 'flux.operations.Operations'

/** Client constructor and, as `.service`, definition of the control plane's contract. */
export const AgentService = client(AGENT_SERVICE) as unknown as FluxProto['flux']['AgentService']
export const AgentServiceDefinition = AgentService.service

/** Client constructor and, as `.service`, definition of the operators' calls. */
export const Operations = client(OPERATIONS) as unknown as OperationsProto['flux']['operations']['Operations']
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

/** As loadPackageDefinition would make it of the proto. */
function client(name: keyof typeof services) {
  const methods = Object.entries(services[name]).map(([method, { requestStream, responseStream, ...messages }]) => {
    const path = `/${name}/${method}`
    const originalName = method.charAt(0).toLowerCase() + method.slice(1)
    const [request, response] = [codec(messages.request), codec(messages.response)]
    const codecs = {
      requestSerialize: request.serialize,
      requestDeserialize: request.deserialize,
      responseSerialize: response.serialize,
      responseDeserialize: response.deserialize,
    }
    return [method, { path, requestStream, responseStream, ...codecs, originalName }]
  })
  return makeClientConstructor(Object.fromEntries(methods) as ServiceDefinition, name.slice(name.lastIndexOf('.') + 1))
}

function codec(message: Message) {
  return {
    serialize: (value: object) => message.encode(message.fromObject(value)).finish(),
    deserialize: (bytes: Buffer) => message.toObject(message.decode(bytes), MESSAGE_SHAPE),
  }
}
