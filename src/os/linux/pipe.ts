import { closeSync, constants, openSync, unlinkSync } from 'node:fs'
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net'

/** Both ends of a pipe whose name is already removed. Node cannot make a plain pipe. */
export interface Pipe {
  /** Non-blocking. */
  readonly readFd: number
  readonly writeFd: number
}

/** Opens a named pipe (mkfifo(1)) and removes its name. Throws the system's error. */
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
 * Has a socket read into one reused buffer. Streams allocate one for each read: with a function that floods its output,
 * the garbage collector would then stop this thread for milliseconds ten times a second, and delay every cancel.
 */
export function reusing(buffer: Buffer, take: (chunk: Buffer) => void): OnReadOpts {
  const callback = (bytes: number): boolean => {
    take(buffer.subarray(0, bytes))
    return true
  }
  return { buffer, callback }
}

/** Reads a pipe into one reused buffer. */
export function readInto(buffer: Buffer, fd: number, take: (chunk: Buffer) => void): Socket {
  const options: SocketConstructorOpts & { onread: OnReadOpts } = {
    fd,
    readable: true,
    writable: false,
    onread: reusing(buffer, take),
  }
  const socket = new Socket(options)
  socket.on('error', () => socket.destroy())
  return socket
}
