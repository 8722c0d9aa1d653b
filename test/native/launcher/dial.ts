import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { basename, dirname, join } from 'node:path'

/** Connects to a socket, whose path may be longer than a socket's address (unix(7)). */
export async function dial(path: string): Promise<Socket> {
  const folder = openSync(dirname(path), 'r')
  try {
    const socket = connect(join('/proc/self/fd', String(folder), basename(path)))
    await once(socket, 'connect')
    socket.on('error', () => {})
    return socket
  } finally {
    closeSync(folder)
  }
}
