import type { ToExecution } from '../../threads/messages.js'
import type { Context } from './supervise.js'

/** Handles messages of the main thread from now on. `go`: called when the execution has a slot. */
export function listen({ channel, ending, readers }: Context, go: () => void): void {
  channel.receive = (message: ToExecution) => {
    switch (message.kind) {
      case 'go':
        go()
        break
      case 'kill':
        ending.end(message.cause)
        break
      case 'snapshot':
        void readers.snapshot(message.request)
        break
      case 'read':
        void readers.read(message.request, message.offset)
        break
      case 'unfollow':
        readers.leave(message.request)
        break
    }
  }
}
