import { MessageChannel, parentPort } from 'node:worker_threads'
import type { FromThread, LaunchSpec, ThreadHello, ToThread } from '../threads/messages.js'
import { Outbox } from '../threads/outbox.js'
import { adopt } from './execution/adopt.js'
import { execute } from './execution/execute.js'
import { TaskChannel } from './execution/task-channel.js'
import { closeThread, configure, figures, queues, starter, storeRefusal } from './thread.js'

const FIGURES_MS = 1_000

const { port1, port2 } = new MessageChannel()
const outbox = new Outbox<FromThread>(port1)
storeRefusal.report = (refuses) => outbox.send({ kind: 'store', refuses })
const tasks = new Map<number, TaskChannel>()
/** By function name. */
const specs = new Map<string, LaunchSpec>()

port1.on('message', (messages: readonly ToThread[]) => {
  for (const message of messages) receive(message)
})
if (figures) setInterval(tellFigures, FIGURES_MS).unref()
// Running executions keep the thread alive, not the port.
port1.unref()
parentPort?.postMessage({ kind: 'hello', port: port2, queuesId: queues.id } satisfies ThreadHello, [port2])

function receive(message: ToThread): void {
  switch (message.kind) {
    case 'settings':
      configure(message.settings)
      break
    case 'ping':
      outbox.send({ kind: 'pong' })
      break
    case 'launch spec':
      specs.set(message.spec.functionName, message.spec)
      break
    case 'execute':
      // The main thread sends the spec first.
      void run(message.number, (channel) =>
        execute(message.task, specs.get(message.task.functionName) as LaunchSpec, channel),
      )
      break
    case 'adopt': {
      const processes = starter.adopt(message.launcher, message.executions.length)
      for (const { number, task } of message.executions) {
        void run(number, (channel) => adopt(task, processes, channel))
      }
      break
    }
    case 'message':
      tasks.get(message.number)?.receive(message.message)
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

async function run(number: number, settled: (channel: TaskChannel) => Promise<void>): Promise<void> {
  const channel = new TaskChannel((message, transfer) => outbox.send({ kind: 'message', number, message }, transfer))
  tasks.set(number, channel)
  try {
    await settled(channel)
    outbox.send({ kind: 'settled', number })
  } catch (error) {
    outbox.send({ kind: 'failed', number, error: error instanceof Error ? error.message : String(error) })
  }
  tasks.delete(number)
}
