import type { ServerListener } from '@grpc/grpc-js'
import { AgentServiceDefinition } from '../../proto.js'
import { Places } from '../functions/places.js'

/** Each may hold 50 MiB, and about as much again while it is decoded. */
const READ_AT_ONCE = 4

/**
 * Of the calls that bring code only so many are read at once. What the others send stays with their senders, by the
 * flow control of HTTP/2, until one of those has its answer or its caller has gone.
 */
export class Uploads {
  private readonly places = new Places(READ_AT_ONCE)

  /** What listens to a call of that path, before its handler; undefined where nothing needs to. */
  listener(path: string): ServerListener | undefined {
    if (path !== AgentServiceDefinition.DeployFunction.path) return undefined
    const { places } = this
    let state: 'waiting' | 'reading' | 'over' = 'waiting'
    return {
      async onReceiveMetadata(metadata, read) {
        await places.enter()
        if (state === 'over') return places.leave()
        state = 'reading'
        read(metadata)
      },
      onCancel() {
        if (state === 'reading') places.leave()
        state = 'over'
      },
    }
  }
}
