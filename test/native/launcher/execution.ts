import assert from 'node:assert/strict'
import type { End, ExecutionEvent, Failure } from './frames.js'
import { withinSeconds } from './within.js'

const LIMIT_SECONDS = 30

/** One START and what has been told of it, by one connection or several. */
export class Execution {
  private state: 'asked' | 'running' | 'ended' | 'failed' | 'detached' = 'asked'
  private readonly chunks: Buffer[] = []
  private length = 0
  private broken: Error | undefined
  private startedPid: number | undefined
  private end: End | undefined
  private failure: Failure | undefined
  /** What was told before it was attached again, which has to be told again just so. */
  private toldBefore: { readonly bytes: Buffer; readonly pid?: number; readonly done?: End | Failure } = {
    bytes: Buffer.alloc(0),
  }
  /** Offset of the next output. */
  private next = 0
  /** Output that is known to be safe, bytes. */
  private safe = 0
  private wake: (() => void)[] = []

  constructor(
    launcher: { readonly exited: Promise<unknown>; readonly stderr: string },
    readonly id: bigint,
    private allowed: bigint,
    /** Whether it outlives its connection. */
    readonly kept = false,
  ) {
    void launcher.exited.then(() => this.break(new Error(`the launcher is gone: ${launcher.stderr}`)))
  }

  get over(): boolean {
    return this.state === 'ended' || this.state === 'failed'
  }

  /** Its leader's pid, once STARTED has come. */
  get started(): Promise<number> {
    return this.until('STARTED', () => {
      assert.equal(this.failure, undefined, JSON.stringify(this.failure))
      return this.startedPid
    })
  }

  get ended(): Promise<End> {
    return this.until('ENDED', () => {
      assert.equal(this.failure, undefined, JSON.stringify(this.failure))
      return this.end
    })
  }

  get failed(): Promise<Failure> {
    return this.until('FAILED', () => {
      assert.notEqual(this.state, 'ended')
      return this.failure
    })
  }

  /** Whichever comes. */
  get done(): Promise<End | Failure> {
    return this.until('ENDED or FAILED', () => this.end ?? this.failure)
  }

  /** The first of its life, whichever comes. */
  get answered(): Promise<number | Failure> {
    return this.until('STARTED or FAILED', () => this.startedPid ?? this.failure)
  }

  get outputLength(): number {
    return this.length
  }

  /** Bytes that CREDIT has allowed; of one that is kept, bytes that are safe. */
  allow(bytes: bigint): void {
    this.allowed += bytes
    this.safe += Number(bytes)
  }

  /** Its connection has ended. */
  detach(): void {
    if (this.kept) this.state = 'detached'
    else if (!this.over) this.break(new Error('its connection has ended'))
  }

  /** Another connection tells of it, with its output from this offset. */
  attach(offset: number): void {
    assert.equal(this.state, 'detached')
    const { startedPid: pid, end, failure } = this
    const done = end ?? failure ?? this.toldBefore.done
    this.toldBefore = { bytes: this.bytes(), ...(pid !== undefined && { pid }), ...(done && { done }) }
    this.end = this.failure = undefined
    this.state = 'asked'
    this.next = offset
    this.allow(BigInt(offset - this.safe))
  }

  /** Offset of what is not known to be safe. */
  get safeLength(): number {
    return this.safe
  }

  /** Bytes that the present connection has told, and that are not known to be safe. */
  get unsafe(): number {
    return this.next - this.safe
  }

  bytes(): Buffer {
    return Buffer.concat(this.chunks)
  }

  output(): string {
    return this.bytes().toString()
  }

  /** All of its output, once it has ended; it must have exited with 0. */
  async result(): Promise<string> {
    const { exitCode, signal } = await this.ended
    assert.deepEqual({ exitCode, signal }, { exitCode: 0, signal: 0 }, this.output())
    return this.output()
  }

  /** The first line of its output, which is numbers. */
  async numbers(): Promise<number[]> {
    const [line = ''] = (await this.outputUntil('\n')).split('\n')
    assert.match(line, /^[\d ]+$/)
    return line.trim().split(' ').map(Number)
  }

  /** What it has written, once `text` is in it. */
  outputUntil(text: string): Promise<string> {
    const find = () => {
      if (this.output().includes(text)) return this.output()
      assert.equal(this.over, false, `it is over: ${JSON.stringify(this.end ?? this.failure)} ${this.output()}`)
      return undefined
    }
    return this.until(`output with ${JSON.stringify(text)}`, find)
  }

  break(error: Error): void {
    this.broken ??= error
    this.wakeAll()
  }

  hear(event: ExecutionEvent): void {
    const { state } = this
    assert.equal(state, event.type === 'started' || event.type === 'failed' ? 'asked' : 'running', event.type)
    switch (event.type) {
      case 'started':
        this.state = 'running'
        this.startedPid = event.pid
        assert.equal(event.pid, this.toldBefore.pid ?? event.pid)
        break
      case 'failed': {
        const { type: _, id: __, ...failure } = event
        this.state = 'failed'
        this.failure = failure
        assert.deepEqual(failure, this.toldBefore.done ?? failure)
        break
      }
      case 'output':
        assert.equal(event.offset, this.next, 'offsets are contiguous')
        this.next += event.bytes.length
        this.add(this.withoutTold(event.offset, event.bytes))
        break
      case 'ended': {
        const { type: _, id: __, ...end } = event
        this.state = 'ended'
        this.end = end
        assert.deepEqual(end, this.toldBefore.done ?? end)
        assert.equal(this.next, this.length, 'all of its output has been told again')
      }
    }
    this.wakeAll()
  }

  /** Whether more has come than has been allowed, which only the end may bring. */
  get overdrawn(): boolean {
    return BigInt(this.length) > this.allowed
  }

  /** What follows what was told by an earlier connection, which has to be the same bytes. */
  private withoutTold(offset: number, bytes: Buffer): Buffer {
    const told = this.toldBefore.bytes.subarray(offset, offset + bytes.length)
    assert.ok(told.equals(bytes.subarray(0, told.length)), `the bytes at ${offset} are those told before`)
    return bytes.subarray(told.length)
  }

  private add(bytes: Buffer): void {
    // Its own: one chunk of the stream is much larger.
    if (bytes.length > 0) this.chunks.push(Buffer.from(bytes))
    this.length += bytes.length
  }

  private until<T>(what: string, probe: () => T | undefined): Promise<T> {
    const told = async () => {
      for (;;) {
        const answer = probe()
        if (answer !== undefined) return answer
        if (this.broken) throw this.broken
        await new Promise<void>((resolve) => this.wake.push(resolve))
      }
    }
    return withinSeconds(`${what} of ${this.id}`, LIMIT_SECONDS, told())
  }

  private wakeAll(): void {
    const { wake } = this
    this.wake = []
    for (const resolve of wake) resolve()
  }
}
