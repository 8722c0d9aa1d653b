import { constants, fstatSync, openSync, writeSync } from 'node:fs'

const STDERR = 2
/** Bytes that wait for a reader who is behind. */
const WAITING_MAX = 256 * 1024
const RETRY_MS = 100
const EXIT_LIMIT_MS = 1_000
const EXIT_RETRY_MS = 10

/**
 * Standard error of this process, which never waits for whoever reads it: what does not fit waits here, and what is too
 * much for that is dropped and counted. Texts stay whole and in order, so there is one of these a process. Main thread.
 */
export class StandardError {
  private readonly fd = reopened() ?? STDERR
  private readonly waiting: Buffer[] = []
  private waitingBytes = 0
  private dropped = 0
  private timer: NodeJS.Timeout | undefined

  /** `resumed` hears how many texts were dropped, once all that waited has been written. */
  constructor(private readonly resumed: (dropped: number) => void) {
    process.on('exit', () => this.finish())
  }

  /** Written at once where the reader keeps up, so that the last line before a crash is there. */
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

  /** As much as goes without waiting. */
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
      // The reader is behind (EAGAIN), the disk is full (ENOSPC), or nobody reads any more (EPIPE). All may pass.
    }
    return written
  }

  /** The last lines get out, unless the reader has stopped reading. */
  private finish(): void {
    const end = performance.now() + EXIT_LIMIT_MS
    const clock = new Int32Array(new SharedArrayBuffer(4))
    for (this.drain(); this.waiting.length > 0 && performance.now() < end; this.drain()) {
      Atomics.wait(clock, 0, 0, EXIT_RETRY_MS)
    }
  }
}

/**
 * A way to it that is not waited for. Other processes may have the same open file, as those of a shell's pipeline, and are
 * to notice nothing: so it is opened anew (proc_pid_fd(5)), which cannot be done with a socket, nor with what is
 * another user's.
 */
function reopened(): number | undefined {
  // A file is never behind, and opened anew it would be written from its start.
  if (process.platform === 'win32' || fstatSync(STDERR).isFile()) return undefined
  try {
    return openSync(`/proc/self/fd/${STDERR}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  } catch {
    return undefined
  }
}

/** Whatever is started with the same standard error has libuv make it one that is waited for. */
function doNotWait(): void {
  const { _handle: handle } = process.stderr as { _handle?: { setBlocking?(blocking: boolean): unknown } }
  if (process.platform !== 'win32') handle?.setBlocking?.(false)
}
