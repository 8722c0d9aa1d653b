import assert from 'node:assert/strict'
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../harness/eventually.js'
import { onExit } from '../../../harness/on-exit.js'
import { childrenOf, cpuTicks, openDescriptors } from '../../../harness/proc.js'
import { killIfLeft } from '../../../harness/processes.js'
import { SANITIZER_STATUS } from './builds.js'
import { dial } from './dial.js'
import { Execution } from './execution.js'
import {
  attachFrame,
  Cause,
  creditFrame,
  type Event,
  forgetFrame,
  frame,
  killFrame,
  type Listed,
  leaveFrame,
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
  /** It waits so long for another connection when one has ended, ms, by a socket. */
  readonly survives?: number
  /** The socket's path, by default one in a folder of its own. */
  readonly socket?: string
}

type Ready = Event & { type: 'ready' }

export interface Exit {
  readonly code: number | null
  readonly signal: string | null
}

/** A launcher and what it has told, each event held against the protocol as it comes. */
export class Launcher {
  readonly exited: Promise<Exit>
  /** Resolves once it has let go of its standard error. */
  readonly silent: Promise<unknown>
  /** Every event, with the offset in place of the bytes of an OUTPUT. */
  readonly events: Event[] = []
  /** Of the present connection. */
  ready: Promise<Ready>
  private readonly child: ChildProcess
  /** The present connection: both are the same socket, but for the first. */
  private streams: { readonly requests: Socket; readonly events: Socket }
  private readonly executions = new Map<bigint, Execution>()
  private readonly lists = new Map<bigint, (running: readonly Listed[]) => void>()
  private listing: Listed[] = []
  private tellReady: (event: Ready) => void = () => {}
  private unparsed: Buffer = Buffer.alloc(0)
  private said = ''
  private left: Exit | undefined
  private connected = true
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
    this.ready = this.expectReady()
    this.streams = { requests: this.stdin, events: this.stdout }
    this.stdin.on('error', () => {})
    this.child.stderr?.on('data', (text) => {
      this.said += text
    })
    if (!options.unread) this.read()
    this.silent = once(this.child.stderr as Readable, 'end')
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

  /** Those of the first connection. */
  get stdin(): Socket {
    return this.child.stdin as Socket
  }

  get stdout(): Socket {
    return this.child.stdout as Socket
  }

  /** Where the present connection's requests go. */
  get requests(): Socket {
    return this.streams.requests
  }

  /** What it has said on stderr. */
  get stderr(): string {
    return this.said
  }

  read(): void {
    const { events } = this.streams
    if (this.isRead) events.resume()
    else events.on('data', (chunk: Buffer) => (events === this.streams.events ? this.take(chunk) : undefined))
    this.isRead = true
  }

  /** Ends the connection, in the middle of a frame or not. */
  disconnect(): void {
    this.connected = false
    this.streams.requests.destroy()
    this.streams.events.destroy()
    for (const execution of this.executions.values()) execution.detach()
  }

  /** Another connection. Resolves once READY has come. */
  async connect(read = true): Promise<Ready | undefined> {
    assert.equal(this.connected, false)
    const socket = await dial(this.options.socket as string)
    this.connected = true
    this.streams = { requests: socket, events: socket }
    this.ready = this.expectReady()
    this.unparsed = Buffer.alloc(0)
    this.listing = []
    this.heard = this.isRead = false
    if (!read) return undefined
    this.read()
    return withinSeconds('READY', 10, this.ready)
  }

  /** Has it told of again by the present connection, by default from where it has not been told of. */
  attach(execution: Execution, offset = execution.outputLength): void {
    execution.attach(offset)
    this.send(attachFrame(execution.id, offset))
  }

  /** Says that its end is safe: nothing is known of it any more. */
  forget(...executions: Execution[]): void {
    this.send(...executions.map(({ id }) => forgetFrame(id)))
    for (const { id } of executions) this.executions.delete(id)
  }

  send(...frames: Buffer[]): void {
    this.streams.requests.write(Buffer.concat(frames))
  }

  /** The frame is not sent: what it is about is expected all the same. */
  expect(credit: bigint | number, id = ++this.lastId, kept = false): Execution {
    const before = this.executions.get(id)
    assert.ok(!before || before.over, `the id ${id} is in use`)
    const execution = new Execution(this, id, BigInt(credit), kept)
    if (this.broken) execution.break(this.broken)
    this.executions.set(id, execution)
    return execution
  }

  start(start: Start, id?: bigint): Execution {
    const execution = this.expect(start.credit ?? NO_LIMIT, id, start.kept)
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

  /** One that outlives its connection. */
  kept(lines: string, changes: Partial<Start> = {}): Execution {
    return this.script(lines, { kept: true, ...changes })
  }

  kill(...executions: Execution[]): void {
    this.killFor(Cause.none, ...executions)
  }

  killFor(cause: number, ...executions: Execution[]): void {
    this.send(...executions.map(({ id }) => killFrame(id, cause)))
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
   * Ends it as the protocol says, also where that needs another connection, unless the test has seen to its end. Either
   * way nothing may be left behind, and nothing said on stderr that is not expected, as a sanitizer's report.
   */
  async close(): Promise<void> {
    try {
      const endedBefore = this.left !== undefined
      if (this.options.survives === undefined) this.stdin.end()
      else if (!endedBefore) await this.haveItLeave()
      this.read()
      const exit = await withinSeconds('the launcher leaves', 20, this.exited)
      assert.match(this.said, this.options.says ?? /^$/)
      if (!endedBefore) assert.deepEqual(exit, { code: 0, signal: null })
      assert.notEqual(exit.code, SANITIZER_STATUS)
      assert.equal(this.broken, undefined, this.broken?.message)
      const wholeTold = this.connected && (!this.streams.events.destroyed || !endedBefore)
      if (wholeTold) assert.equal(this.unparsed.length, 0, 'the last event is whole')
      if (this.options.socket) assert.equal(existsSync(this.options.socket), false, 'its socket is removed')
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
    this.streams.requests.destroy()
    await this.exited
    for (const { pid } of left()) killIfLeft(pid)
  }

  private async haveItLeave(): Promise<void> {
    if (!this.connected) await this.connect()
    this.send(leaveFrame())
  }

  private expectReady(): Promise<Ready> {
    return new Promise((resolve) => {
      this.tellReady = resolve
    })
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
      const { type: _, ...listed } = event
      this.listing.push(listed)
    } else if (event.type === 'listEnd') {
      const answer = this.lists.get(event.id)
      assert.ok(answer, `nobody has asked for list ${event.id}`)
      this.lists.delete(event.id)
      answer(this.listing)
      this.listing = []
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
