import type { ServerListener } from '@grpc/grpc-js'
import { AgentServiceDefinition } from '../../proto.js'
import { Places } from '../functions/places.js'

/** Uploads read at once. Each may be 50 MiB, and takes as much again while it is decoded. */
const READ_AT_ONCE = 4

/**
 * Limits how many uploads of code are read at once. HTTP/2 flow control leaves the others with their senders until one
 * of these is answered or hangs up.
 */
export class Uploads {
  private readonly places = new Places(READ_AT_ONCE)

  /** A listener for calls of that path; undefined where none is needed. */
  listener(path: string): ServerListener | undefined {
    if (path !== AgentServiceDefinition.DeployFunction.path) return undefined
    const { places } = this
    let state: 'waiting' | 'reading' | 'ended' = 'waiting'
    return {
      async onReceiveMetadata(metadata, read) {
        await places.enter()
        if (state === 'ended') return places.leave()
        state = 'reading'
        read(metadata)
      },
      onCancel() {
        if (state === 'reading') places.leave()
        state = 'ended'
      },
    }
  }
}
