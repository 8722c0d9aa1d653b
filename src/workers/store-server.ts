import type { MessagePort } from 'node:worker_threads'
import type { StoreUnavailable } from '../store/store.js'
import { Outbox } from '../threads/outbox.js'
import { type StoreAnswer, type StoreCall, unpacked, type WorkerStore } from '../threads/store-calls.js'

/** Answers another worker's calls at this port, from this worker's own store. */
export function serveStore(store: WorkerStore, port: MessagePort): void {
  const outbox = new Outbox<StoreAnswer>(port)
  port.on('message', (calls: readonly StoreCall[]) => {
    for (const call of calls) void answer(call)
  })
  // The workers' executions keep threads alive, not their ports.
  port.unref()
  store.watchNodes((nodes) => outbox.send({ kind: 'nodes', nodes }))

  async function answer(call: StoreCall): Promise<void> {
    const { number } = call
    try {
      const value = await resultOf(call)
      if (Buffer.isBuffer(value)) {
        const own = new Uint8Array(value)
        outbox.send({ kind: 'answer', number, value: own }, [own.buffer])
      } else {
        outbox.send({ kind: 'answer', number, value })
      }
    } catch (error) {
      const { message, problem = message, fix, permanent = false } = error as StoreUnavailable
      outbox.send({ kind: 'unavailable', number, why: { problem, fix, permanent } })
    }
  }

  function resultOf(call: StoreCall): Promise<unknown> {
    switch (call.method) {
      case 'write':
        return store.write(unpacked(call.batch))
      case 'begin':
        return store.begin(...call.args)
      case 'record':
        return store.record(...call.args)
      case 'output':
        return store.output(...call.args)
      case 'gaps':
        return store.gaps(...call.args)
      case 'outputLength':
        return store.outputLength(...call.args)
      case 'renewLeases':
        return store.renewLeases(...call.args)
    }
  }
}
