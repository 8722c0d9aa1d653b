import { type EventEmitter, setMaxListeners } from 'node:events'
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type ServerWritableStream,
  status,
} from '@grpc/grpc-js'
import type { Log } from '../../log/log.js'
import { WaitGroup } from '../executions/wait-group.js'

/**
 * Answered as a gRPC status. Only for what is no application error: the control plane reads a status as "agent
 * unreachable".
 */
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
/** `closing` is aborted when the server closes, which then waits for the call. */
type Streaming<Request, Response> = (
  call: ServerWritableStream<Request, Response>,
  closing: AbortSignal,
) => Promise<void>
type Bidirectional<Request, Response> = (
  call: ServerDuplexStream<Request, Response>,
  closing: AbortSignal,
) => Promise<void>

interface StreamedCall extends Pick<EventEmitter, 'emit' | 'on'> {
  getPath(): string
  end(): unknown
}

/** Wraps every call handler so that each call is answered: grpc-js leaves a call open when its handler rejects. */
export class Handlers {
  private readonly open = new WaitGroup()
  private readonly closing = new AbortController()

  constructor(private readonly log: Log) {
    // Every open stream listens.
    setMaxListeners(0, this.closing.signal)
  }

  /** Has streams without an end of their own end. Resolves when no call is open: each is answered or cancelled. */
  close(): Promise<void> {
    this.closing.abort()
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
    return (call) => this.stream(call, (closing) => handle(call, closing))
  }

  bidirectional<Request, Response>(
    handle: Bidirectional<Request, Response>,
  ): handleBidiStreamingCall<Request, Response> {
    return (call) => this.stream(call, (closing) => handle(call, closing))
  }

  private async stream(call: StreamedCall, handle: (closing: AbortSignal) => Promise<void>): Promise<void> {
    this.enter(call)
    try {
      await handle(this.closing.signal)
      call.end()
    } catch (error) {
      call.emit('error', this.statusOf(error, call.getPath()))
    }
  }

  private enter(call: Pick<EventEmitter, 'on'>): void {
    this.open.add()
    // grpc-js emits 'cancelled' once at every end of a call, also after the answer.
    call.on('cancelled', this.leave)
  }

  private readonly leave = (): void => this.open.done()

  private statusOf(error: unknown, path: string): { code: status; details: string } {
    const { code, message } = error as { code?: unknown; message?: unknown }
    if (typeof code === 'number' && code in status) return { code, details: String(message) }
    this.log.error({ err: error, path }, 'call failed: a defect')
    return { code: status.INTERNAL, details: `internal error: ${String(message)}` }
  }
}
