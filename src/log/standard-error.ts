import { constants, fstatSync, openSync, writeSync } from 'node:fs'

const STDERR = 2
/** The most bytes that wait for a slow reader. */
const WAITING_MAX = 256 * 1024
const RETRY_MS = 100
const EXIT_LIMIT_MS = 1_000
const EXIT_RETRY_MS = 10

/**
 * Standard error that never blocks. What the reader does not take at once waits in memory; beyond WAITING_MAX it is
 * dropped and counted. Texts stay whole and in order, so use one instance a process. Main thread only.
 */
export class StandardError {
  private readonly fd = reopened() ?? STDERR
  private readonly waiting: Buffer[] = []
  private waitingBytes = 0
  private dropped = 0
  private timer: NodeJS.Timeout | undefined

  /** `resumed` is called with the number of dropped texts, once all that waited is written. */
  constructor(private readonly resumed: (dropped: number) => void) {
    process.on('exit', () => this.finish())
  }

  /** Writes at once where the reader keeps up, so that the last line before a crash is not lost. */
  write(text: string): void {
    const bytes = Buffer.from(text)
    if (this.waiting.length > 0 && this.waitingBytes + bytes.length > WAITING_MAX) {
      this.dropped++
      return
    }
    this.waiting.push(bytes)
    this.waitingBytes += bytes.length
    if (this.timer === undefined) this.drain()
  }

  private drain(): void {
    this.timer = undefined
    this.writeOut()
    if (this.waiting.length > 0) {
      this.timer = setTimeout(() => this.drain(), RETRY_MS).unref()
      return
    }
    const { dropped } = this
    this.dropped = 0
    if (dropped > 0) this.resumed(dropped)
  }

  /** Writes as much as the reader takes now. */
  private writeOut(): void {
    for (let [first] = this.waiting; first; [first] = this.waiting) {
      const written = this.attempt(first)
      this.waitingBytes -= written
      if (written < first.length) {
        this.waiting[0] = first.subarray(written)
        return
      }
      this.waiting.shift()
    }
  }

  private attempt(bytes: Buffer): number {
    let written = 0
    if (this.fd === STDERR) doNotWait()
    try {
      while (written < bytes.length) written += writeSync(this.fd, bytes, written)
    } catch {
      // The reader is behind (EAGAIN), the disk is full (ENOSPC) or the reader has ended (EPIPE): all may pass.
    }
    return written
  }

  /** Writes the last lines before the exit; gives up after EXIT_LIMIT_MS. */
  private finish(): void {
    const end = performance.now() + EXIT_LIMIT_MS
    const clock = new Int32Array(new SharedArrayBuffer(4))
    for (this.drain(); this.waiting.length > 0 && performance.now() < end; this.drain()) {
      Atomics.wait(clock, 0, 0, EXIT_RETRY_MS)
    }
  }
}

/**
 * Opens standard error anew, non-blocking (proc_pid_fd(5)). Setting O_NONBLOCK on the shared open file would break
 * other processes that have it, as in a shell's pipeline. Undefined where it cannot be reopened: a socket, or another
 * user's file.
 */
function reopened(): number | undefined {
  // A file never blocks, and reopened it would be written from its start.
  if (process.platform === 'win32' || fstatSync(STDERR).isFile()) return undefined
  try {
    return openSync(`/proc/self/fd/${STDERR}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return undefined
  }
}

/** Spawning a process with this standard error makes libuv set it to blocking again. */
function doNotWait(): void {
  const { _handle: handle } = process.stderr as { _handle?: { setBlocking?(blocking: boolean): unknown } }
  if (process.platform !== 'win32') handle?.setBlocking?.(false)
}
