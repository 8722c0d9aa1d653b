import assert from 'node:assert/strict'
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { childrenOf, cpuTicks, openDescriptors } from '../../../harness/proc.js'
import { SANITIZER_STATUS } from './builds.js'
import { Execution } from './execution.js'
import {
  creditFrame,
  type Event,
  frame,
  killFrame,
  type Listed,
  listFrame,
  NO_LIMIT,
  parseEvents,
  type Start,
  startFrame,
  Type,
} from './frames.js'
import { DEFAULT_ENV, left } from './marks.js'
import { withinSeconds } from './within.js'

/** The numbers of epoll_wait(2) and epoll_pwait(2). */
const EPOLL_WAITS = process.arch === 'x64' ? ['232', '281'] : ['22']

export interface LaunchOptions {
  readonly env?: Readonly<Record<string, string>>
  /** Descriptors of this process that it inherits, from 3 on. */
  readonly inherit?: readonly number[]
  readonly uid?: number
  readonly gid?: number
  /** Its stdout is not read from the beginning. */
  readonly unread?: boolean
  /** Where executions get folders for temporary files. */
  readonly tmpdirs?: string
  /** Those of what it could not kill. */
  readonly leavesCgroups?: boolean
  /** What it has said on stderr may be this. */
  readonly says?: RegExp
}

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

/** A launcher and what it has told, each event held against the protocol as it comes. */
export class Launcher {
  readonly exited: Promise<Exit>
  /** Every event, with the offset in place of the bytes of an OUTPUT. */
  readonly events: Event[] = []
  readonly ready: Promise<Event & { type: 'ready' }>
  private readonly child: ChildProcess
  private readonly executions = new Map<bigint, Execution>()
  private readonly lists = new Map<bigint, (running: readonly Listed[]) => void>()
  private tellReady: (event: Event & { type: 'ready' }) => void = () => {}
  private unparsed: Buffer = Buffer.alloc(0)
  private said = ''
  private left: Exit | undefined
  private isRead = false
  private heard = false
  private tolerates = false
  private broken: Error | undefined
  private lastId = 0n

  constructor(
    command: readonly [string, ...string[]],
    readonly options: LaunchOptions = {},
  ) {
    const [program, ...args] = command
    const { env = {}, inherit = [], uid, gid } = options
    const stdio: StdioOptions = ['pipe', 'pipe', 'pipe', ...inherit]
    this.child = spawn(program, args, {
      cwd: '/',
      env,
      detached: true,
      stdio,
      ...(uid !== undefined && { uid }),
      ...(gid !== undefined && { gid }),
    })
    this.ready = new Promise((resolve) => {
      this.tellReady = resolve
    })
    this.stdin.on('error', () => {})
    this.child.stderr?.on('data', (text) => {
      this.said += text
    })
    if (!options.unread) this.read()
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.left = { code, signal }
      return this.left
    })
    onExit(() => this.child.kill('SIGKILL'))
  }

  get pid(): number {
    assert.ok(this.child.pid)
    return this.child.pid
  }

  get stdin(): Socket {
    return this.child.stdin as Socket
  }

  get stdout(): Socket {
    return this.child.stdout as Socket
  }

  /** What it has said on stderr. */
  get stderr(): string {
    return this.said
  }

  read(): void {
    if (this.isRead) this.stdout.resume()
    else this.stdout.on('data', (chunk: Buffer) => this.take(chunk))
    this.isRead = true
  }

  send(...frames: Buffer[]): void {
    this.stdin.write(Buffer.concat(frames))
  }

  /** The frame is not sent: what it is about is expected all the same. */
  expect(credit: bigint | number, id = ++this.lastId): Execution {
    const before = this.executions.get(id)
    assert.ok(!before || before.over, `the id ${id} is in use`)
    const execution = new Execution(this, id, BigInt(credit))
    if (this.broken) execution.break(this.broken)
    this.executions.set(id, execution)
    return execution
  }

  start(start: Start, id?: bigint): Execution {
    const execution = this.expect(start.credit ?? NO_LIMIT, id)
    this.send(startFrame(execution.id, { env: DEFAULT_ENV, ...start }))
    return execution
  }

  /** A START with this payload. */
  expectStart(payload: Buffer): Execution {
    const execution = this.expect(NO_LIMIT)
    this.send(frame(Type.start, execution.id, payload))
    return execution
  }

  /** A shell script, with its other arguments. */
  script(lines: string, changes: Partial<Start> = {}, ...args: string[]): Execution {
    return this.start({ file: '/bin/sh', argv: ['sh', '-c', lines, 'sh', ...args], ...changes })
  }

  kill(...executions: Execution[]): void {
    this.send(...executions.map(({ id }) => killFrame(id)))
  }

  credit(execution: Execution, bytes: number | bigint): void {
    execution.allow(BigInt(bytes))
    this.send(creditFrame(execution.id, bytes))
  }

  /** All requests sent before have been dealt with, too, but for starts that wait. */
  list(): Promise<readonly Listed[]> {
    const { id, listed } = this.expectList()
    this.send(listFrame(id))
    return listed
  }

  /** The answer to a LIST that the test sends. */
  expectList(): { readonly id: bigint; readonly listed: Promise<readonly Listed[]> } {
    const id = ++this.lastId
    const listed = new Promise<readonly Listed[]>((resolve, reject) => {
      this.lists.set(id, resolve)
      void this.exited.then(() => reject(new Error(`the launcher is gone: ${this.said}`)))
    })
    // It may be waited for later.
    listed.catch(() => {})
    return { id, listed }
  }

  /** Resolves once it has read the bytes and sleeps again. */
  async sendAndSeeRead(bytes: Buffer): Promise<void> {
    await eventually('it sleeps', () => sleepOf(this.pid) !== undefined)
    const before = sleepOf(this.pid)
    this.send(bytes)
    // Hundreds of times in one test: without a pause.
    const deadline = performance.now() + 10_000
    while ([undefined, before].includes(sleepOf(this.pid))) {
      assert.ok(performance.now() < deadline, 'it has slept again')
      await new Promise(setImmediate)
    }
  }

  /** What executions it tells of is not known. That it tells whole frames is held against it all the same. */
  tolerate(): void {
    this.tolerates = true
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal)
  }

  /** Resolves once it uses hardly any processor time. */
  async idles(): Promise<void> {
    await eventually('the launcher is idle', async () => {
      const before = cpuTicks(this.pid)
      await sleep(500)
      return cpuTicks(this.pid) - before <= 1
    })
  }

  /** Its descriptors and children, zombies included. */
  holdings(): { readonly descriptors: number; readonly children: number } {
    return { descriptors: openDescriptors(this.pid).length, children: childrenOf(this.pid).length }
  }

  /** Pids of those that live. */
  children(): number[] {
    return childrenOf(this.pid).flatMap(({ pid, state }) => (state === 'Z' || state === 'X' ? [] : [pid]))
  }

  /** How it has ended. */
  get exit(): Exit | undefined {
    return this.left
  }

  /**
   * Ends it as the protocol says, unless the test has seen to its end. Either way nothing may be left behind, and nothing
   * said on stderr that is not expected, as a sanitizer's report.
   */
  async close(): Promise<void> {
    try {
      const endedBefore = this.left !== undefined
      this.stdin.end()
      this.read()
      const exit = await withinSeconds('the launcher leaves', 20, this.exited)
      assert.match(this.said, this.options.says ?? /^$/)
      if (!endedBefore) assert.deepEqual(exit, { code: 0, signal: null })
      assert.notEqual(exit.code, SANITIZER_STATUS)
      assert.equal(this.broken, undefined, this.broken?.message)
      if (!this.stdout.destroyed || !endedBefore) assert.equal(this.unparsed.length, 0, 'the last event is whole')
      await eventually('nothing of what it has started is left', () => left().length === 0)
    } finally {
      await this.destroy()
    }
  }

  /** Whatever it has come to. */
  async destroy(): Promise<void> {
    this.child.kill('SIGKILL')
    this.stdin.destroy()
    this.stdout.destroy()
    await this.exited
    for (const { pid } of left()) process.kill(pid, 'SIGKILL')
  }

  private take(chunk: Buffer): void {
    if (this.broken) return
    try {
      const stream = Buffer.concat([this.unparsed, chunk])
      const { events, length } = parseEvents(stream)
      this.unparsed = stream.subarray(length)
      for (const event of events) this.hear(event)
    } catch (error) {
      this.broken = error as Error
      for (const execution of this.executions.values()) execution.break(this.broken)
    }
  }

  private hear(event: Event): void {
    assert.equal(event.type === 'ready', !this.heard, 'READY comes first and once')
    this.heard = true
    if (this.tolerates) return
    this.events.push(event.type === 'output' ? { ...event, bytes: Buffer.alloc(0) } : event)
    if (event.type === 'ready') {
      this.tellReady(event)
    } else if (event.type === 'listed') {
      const answer = this.lists.get(event.id)
      assert.ok(answer, `nobody has asked for list ${event.id}`)
      this.lists.delete(event.id)
      answer(event.running)
    } else {
      const execution = this.executions.get(event.id)
      assert.ok(execution, `${event.type} of the unknown execution ${event.id}`)
      execution.hear(event)
    }
  }
}

/**
 * Which sleep the thread that serves is in while it waits for requests; undefined while it does not. Another thread
 * serves where a start has held up the first.
 */
function sleepOf(pid: number): string | undefined {
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const read = (name: string) => readFileSync(`/proc/${pid}/task/${thread}/${name}`, 'latin1')
    const [call = ''] = read('syscall').split(' ')
    if (EPOLL_WAITS.includes(call)) return `${thread}: ${/^voluntary_ctxt_switches:\s+\d+$/m.exec(read('status'))}`
  }
  return undefined
}
