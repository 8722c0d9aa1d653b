import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** Others than the agent's user and administrators may open the pipe, but only to read: what counts is the word. */
const STOP = 'stop\n'

/** Windows has no signal from one process to another, so the agent listens on a named pipe, and to its console. */
export function onStopRequest(stop: (reason: string) => void): void {
  // Ctrl-Break, and the closing of the console, after which Windows gives the process some seconds.
  process.on('SIGBREAK', (signal) => stop(signal))
  process.on('SIGHUP', (signal) => stop(signal))
  const server = createServer((connection) => {
    let heard = ''
    connection.setEncoding('utf8').on('data', (text: string) => {
      heard = (heard + text).slice(0, STOP.length)
      if (heard === STOP) stop('flux-agent stop')
    })
    connection.on('error', () => connection.destroy())
    connection.unref()
  })
  // Without it the agent still serves, and can be stopped from its console.
  server.on('error', () => server.close())
  server.listen(pipeOf(process.pid)).unref()
}

/** Says the word to the agent with this pid. Rejects where none listens. */
export async function requestStop(pid: number): Promise<void> {
  const connection = connect(pipeOf(pid))
  await once(connection, 'connect')
  connection.end(STOP)
  await once(connection, 'close')
}

function pipeOf(pid: number): string {
  return `\\\\.\\pipe\\flux-agent-${pid}`
}
