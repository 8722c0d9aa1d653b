import { closeSync, openSync } from 'node:fs'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { join } from 'node:path'
import { reusing } from '../pipe.js'
import { EventParser, type LauncherEvents } from './events.js'

export const READ_BYTES = 65_536
const SOCKET = '.sock'

/** The agent's end of a connection to a launcher. */
export interface Connection {
  /** Ignored once the connection has ended. */
  write(bytes: Buffer): void
  /** No request follows. */
  end(): void
  /** Resolves once the launcher has closed it, after all events; says how, as far as known. */
  readonly closed: Promise<string>
}

export function socketName(launcher: string): string {
  return `${launcher}${SOCKET}`
}

/** The launchers' names among the files of a folder. */
export function launchersAmong(files: readonly string[]): string[] {
  return files.flatMap((file) => (file.endsWith(SOCKET) ? [file.slice(0, -SOCKET.length)] : []))
}

/** Connects to a launcher that has outlived its agent. */
export function connectTo(launcher: string, scratchDir: string, events: LauncherEvents): Connection {
  const parser = new EventParser(events)
  const onread = reusing(Buffer.allocUnsafeSlow(READ_BYTES), (chunk) => parser.push(chunk))
  // A socket's address has room for 107 bytes (unix(7)); the folder's path may have more.
  const folder = openSync(scratchDir, 'r')
  const options: NetConnectOpts = { path: join('/proc/self/fd', String(folder), socketName(launcher)), onread }
  const socket = connect(options)
  closeSync(folder)
  return { write: (bytes) => writeTo(socket, bytes), end: () => void socket.end(), closed: closing(socket) }
}

/** Ignored once the other end is closed. */
export function writeTo(socket: Socket, bytes: Buffer): void {
  if (socket.writable) socket.write(bytes)
}

function closing(socket: Socket): Promise<string> {
  let how = 'it has closed the connection'
  socket.on('error', (error) => {
    how = error.message
  })
  return new Promise((resolve) => socket.once('close', () => resolve(how)))
}
