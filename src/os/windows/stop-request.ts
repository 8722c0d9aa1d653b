import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** Users other than the agent's and administrators can open the pipe only for reading, so a word must be written. */
const STOP = 'stop\n'

/** Windows has no signals between processes, so the agent listens on a named pipe and on its console. */
export function onStopRequest(stop: (reason: string) => void): void {
  // Ctrl-Break, and the closing of the console, after which Windows grants some seconds.
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
  // Without the pipe the agent still serves, and its console can stop it.
  server.on('error', () => server.close())
  server.listen(pipeOf(process.pid)).unref()
}

/** Writes the word to the agent with this pid. Rejects where none listens. */
export async function requestStop(pid: number): Promise<void> {
  const connection = connect(pipeOf(pid))
  await once(connection, 'connect')
  connection.end(STOP)
  await once(connection, 'close')
}

function pipeOf(pid: number): string {
  return `\\\\.\\pipe\\flux-agent-${pid}`
}
