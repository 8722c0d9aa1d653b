import { type ServerDuplexStream, status } from '@grpc/grpc-js'
import type { ServerReflectionRequest__Output } from '../../generated/grpc/reflection/v1/ServerReflectionRequest.js'
import type { ServerReflectionResponse } from '../../generated/grpc/reflection/v1/ServerReflectionResponse.js'
import { RpcError } from './handler.js'
import type { ProtoFile } from './proto-files.js'

type Answer = Omit<ServerReflectionResponse, 'valid_host' | 'original_request' | 'message_response'>

/**
 * Answers what services, messages and fields there are, for tools such as grpcurl. `files` is asked for at the first
 * question.
 */
export async function reflect(
  call: ServerDuplexStream<ServerReflectionRequest__Output, ServerReflectionResponse>,
  files: () => readonly ProtoFile[],
  closing: AbortSignal,
): Promise<void> {
  let close = () => {}
  try {
    await new Promise<void>((resolve, reject) => {
      close = () => reject(new RpcError(status.UNAVAILABLE, 'agent is stopping'))
      closing.addEventListener('abort', close)
      call.on('end', resolve).on('cancelled', resolve)
      call.on('data', (request: ServerReflectionRequest__Output) => {
        try {
          const answer = answerTo(request, files())
          if (call.write({ valid_host: request.host, original_request: request, ...answer })) return
          call.pause().once('drain', () => call.resume())
        } catch (error) {
          reject(error)
        }
      })
    })
  } finally {
    closing.removeEventListener('abort', close)
  }
}

function answerTo(request: ServerReflectionRequest__Output, files: readonly ProtoFile[]): Answer {
  switch (request.message_request) {
    case 'list_services':
      return {
        list_services_response: { service: files.flatMap(({ services }) => services.map((name) => ({ name }))) },
      }
    case 'file_by_filename':
      return described(files.find(({ name }) => name === request.file_by_filename))
    case 'file_containing_symbol':
      return described(files.find(({ symbols }) => symbols.has(request.file_containing_symbol ?? '')))
    case 'file_containing_extension':
      return NOT_FOUND
    case 'all_extension_numbers_of_type': {
      const type = request.all_extension_numbers_of_type ?? ''
      const known = files.some(({ symbols }) => symbols.has(type))
      return known ? { all_extension_numbers_response: { base_type_name: type, extension_number: [] } } : NOT_FOUND
    }
    default:
      return failure(status.INVALID_ARGUMENT, 'nothing is asked for')
  }
}

const NOT_FOUND = failure(status.NOT_FOUND, 'not found')

function described(file: ProtoFile | undefined): Answer {
  return file ? { file_descriptor_response: { file_descriptor_proto: [file.descriptor] } } : NOT_FOUND
}

function failure(error_code: status, error_message: string): Answer {
  return { error_response: { error_code, error_message } }
}
