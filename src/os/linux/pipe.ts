import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'

/** Both ends of a pipe whose name is gone already. Node makes none that it does not read itself, and in its own way. */
export interface Pipe {
  /** Non-blocking. */
  readonly readFd: number
  readonly writeFd: number
}

/** Opens a named pipe (mkfifo(1)) and takes its name away. Throws the system's error. */
export function openNamedPipe(path: string): Pipe {
  try {
    const readFd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      return { readFd, writeFd: openSync(path, constants.O_WRONLY) }
    } catch (error) {
      closeSync(readFd)
      throw error
    }
  } finally {
    unlinkSync(path)
  }
}

/**
 * Reads into one buffer, again and again. With a new one a read, as streams have it, a function that floods its output has
 * the garbage collector stop this thread for milliseconds, ten times a second, and every cancel waits for that.
 */
export function readInto(buffer: Buffer, fd: number, take: (chunk: Buffer) => void): Socket {
  const callback = (bytes: number): boolean => {
    take(buffer.subarray(0, bytes))
    return true
  }
  const options: SocketConstructorOpts & { onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: false,
    onread: { buffer, callback },
  }
  const socket = new Socket(options)
  socket.on('error', () => socket.destroy())
  return socket
}
