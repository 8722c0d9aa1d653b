import type { EventEmitter } from 'node:events'
import {
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js'
import type { Log } from '../../log/log.js'
import { WaitGroup } from './wait-group.js'

/** An error that reaches the caller as a gRPC status: only for what is not the application's, as the contract says. */
export class RpcError extends Error {
  override readonly name = 'RpcError'
  constructor(
    readonly code: status,
    message: string,
  ) {
    super(message)
  }
}

type Unary<Request, Response> = (call: ServerUnaryCall<Request, Response>) => Promise<Response> | Response
type Streaming<Request, Response> = (call: ServerWritableStream<Request, Response>) => Promise<void>

/** What every call goes through: an answer whatever happens, since a rejected handler would leave none. */
export class Handlers {
  private readonly open = new WaitGroup()

  constructor(private readonly log: Log) {}

  /** Resolves when no call is open: each has its answer, to the last byte, or nobody wants it any more. */
  answered(): Promise<void> {
    return this.open.wait()
  }

  unary<Request, Response>(handle: Unary<Request, Response>): handleUnaryCall<Request, Response> {
    return async (call, callback) => {
      this.enter(call)
      try {
        callback(null, await handle(call))
      } catch (error) {
        callback(this.statusOf(error, call.getPath()))
      }
    }
  }

  streaming<Request, Response>(handle: Streaming<Request, Response>): handleServerStreamingCall<Request, Response> {
    return async (call) => {
      this.enter(call)
      try {
        await handle(call)
        call.end()
      } catch (error) {
        call.emit('error', this.statusOf(error, call.getPath()))
      }
    }
  }

  private enter(call: Pick<EventEmitter, 'once'>): void {
    this.open.add()
    // grpc-js says so at each end of a call, after the answer too.
    call.once('cancelled', () => this.open.done())
  }

  private statusOf(error: unknown, path: string): { code: status; details: string } {
    const { code, message } = error as { code?: unknown; message?: unknown }
    if (typeof code === 'number' && code in status) return { code, details: String(message) }
    this.log.error({ err: error, path }, 'call failed')
    return { code: status.INTERNAL, details: `internal error: ${String(message)}` }
  }
}
