import { MessageChannel, parentPort } from 'node:worker_threads'
import type { FromThread, ThreadHello, ToThread } from '../threads/messages.js'
import { Outbox } from '../threads/outbox.js'
import { adopt } from './execution/adopt.js'
import { execute } from './execution/execute.js'
import { type Launch, launchOf } from './execution/launch.js'
import { TaskChannel } from './execution/task-channel.js'
import { closeThread, configure, figures, queues, starter, store, storeRefusal } from './thread.js'

const FIGURES_MS = 1_000

const { port1, port2 } = new MessageChannel()
const outbox = new Outbox<FromThread>(port1)
storeRefusal.report = (refuses) => outbox.send({ kind: 'store', refuses })
const tasks = new Map<number, TaskChannel>()
/** By function name. */
const launches = new Map<string, Launch>()

port1.on('message', (messages: readonly ToThread[]) => {
  for (const message of messages) receive(message)
})
if (figures) setInterval(tellFigures, FIGURES_MS).unref()
// Running executions keep the thread alive, not the port.
port1.unref()
// A rejection ends the thread.
void store.opened().then(() => {
  parentPort?.postMessage({ kind: 'hello', port: port2, queuesId: queues.id } satisfies ThreadHello, [port2])
})

function receive(message: ToThread): void {
  switch (message.kind) {
    case 'settings':
      configure(message.settings)
      break
    case 'ping':
      outbox.send({ kind: 'pong' })
      break
    case 'launch spec':
      launches.set(message.spec.functionName, launchOf(message.spec))
      break
    case 'execute': {
      const channel = open(message.number)
      // The main thread sends the spec first.
      const launch = launches.get(message.task.functionName) as Launch
      void settle(message.number, execute(message.task, launch, channel))
      break
    }
    case 'adopt': {
      const processes = starter.adopt(message.launcher, message.executions.length)
      for (const { number, task } of message.executions) void settle(number, adopt(task, processes, open(number)))
      break
    }
    case 'message':
      tasks.get(message.number)?.listener?.receive(message.message)
      break
    case 'close':
      void closeThread(message.handOver).then(() => {
        outbox.send({ kind: 'closed' })
        outbox.flush()
      })
      break
  }
}

function tellFigures(): void {
  const news = figures?.take(queues.state, starter.restarts)
  if (news) outbox.send({ kind: 'figures', figures: news })
}

function open(number: number): TaskChannel {
  const channel = new TaskChannel(outbox, number)
  tasks.set(number, channel)
  return channel
}

async function settle(number: number, settled: Promise<void>): Promise<void> {
  try {
    await settled
    outbox.send({ kind: 'settled', number })
  } catch (error) {
    outbox.send({ kind: 'failed', number, error: error instanceof Error ? error.message : String(error) })
  }
  tasks.delete(number)
  // The main thread waits, and nobody else is there to share the message.
  if (tasks.size === 0) outbox.flush()
}
