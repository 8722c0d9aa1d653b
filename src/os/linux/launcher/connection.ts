import { closeSync, openSync } from 'node:fs'
import { connect, type NetConnectOpts, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { reusing } from '../pipe.js'
import { EventParser, type LauncherEvents } from './events.js'

export const READ_BYTES = 65_536
const SOCKET = '.sock'

/** How long one waits for a launcher that is taken: its agent is dead, but somebody may look at what it keeps. */
export const TAKEN_LIMIT_MS = 5_000
export const LOOK_MS = 20

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

/** Connects to a launcher that has outlived its agent. One that somebody else has taken closes the connection at once. */
export function connectTo(launcher: string, scratchDir: string, events: LauncherEvents): Connection {
  const parser = new EventParser(events)
  const socket = open(launcher, scratchDir, (bytes) => parser.push(bytes))
  return { write: (bytes) => writeTo(socket, bytes), end: () => void socket.end(), closed: closing(socket) }
}

/** The same, but waits while somebody else has taken it, up to TAKEN_LIMIT_MS. What is written meanwhile is sent then. */
export function connectOnceFree(launcher: string, scratchDir: string, events: LauncherEvents): Connection {
  const parser = new EventParser(events)
  const deadline = performance.now() + TAKEN_LIMIT_MS
  const unsent: Buffer[] = []
  let hasEnded = false
  let greeted: Socket | undefined
  const greet = () => {
    const socket = open(launcher, scratchDir, (bytes) => {
      // A launcher greets only whom it takes.
      if (!greeted) {
        greeted = socket
        for (const frames of unsent) writeTo(socket, frames)
        if (hasEnded) socket.end()
      }
      parser.push(bytes)
    })
    return closing(socket)
  }
  const ended = async () => {
    for (;;) {
      const how = await greet()
      if (greeted || isDead(how) || performance.now() >= deadline) return how
      await sleep(LOOK_MS)
    }
  }
  return {
    write: (bytes) => (greeted ? writeTo(greeted, bytes) : void unsent.push(bytes)),
    end: () => {
      hasEnded = true
      greeted?.end()
    },
    closed: ended().catch((error: Error) => error.message),
  }
}

/** Whether nobody listens any more, by the way in which a connection was closed. */
export function isDead(how: string): boolean {
  return /ECONNREFUSED|ENOENT/.test(how)
}

function open(launcher: string, scratchDir: string, take: (bytes: Buffer) => void): Socket {
  // A socket's address has room for 107 bytes (unix(7)); the folder's path may have more.
  const folder = openSync(scratchDir, 'r')
  const path = join('/proc/self/fd', String(folder), socketName(launcher))
  const options: NetConnectOpts = { path, onread: reusing(Buffer.allocUnsafeSlow(READ_BYTES), take) }
  const socket = connect(options)
  closeSync(folder)
  return socket
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
