import { constants } from 'node:os'
import type { OutOfMemory, ProcessEnd } from '../platform.js'
import { getUint64, HEADER_BYTES } from './launcher-frame.js'

/** What a launcher tells its worker thread, in the frames that launcher.h defines. */

const OFFSET_BYTES = 8

const STARTED = 17
const OUTPUT = 18
const ENDED = 19
const FAILED = 20

/** In the order of enum step. */
const STEPS = [
  'unknown',
  'request',
  'cancelled',
  'pipe',
  'cgroup',
  'clone',
  'session',
  'oom_score_adj',
  'rlimit',
  'setgroups',
  'setgid',
  'setuid',
  'no_new_privs',
  'chdir',
  'exec',
] as const

/** Where a start failed. */
export type StartStep = (typeof STEPS)[number]

/** Called in the order of the frames. */
export interface LauncherEvents {
  /** What is behind it is told in a later microtask, when whoever waited for the start knows of it. */
  started(id: number, pid: number): void
  /** A part of the chunk that was read, which is the reader's again after the call; one frame may come in several. */
  output(id: number, bytes: Buffer): void
  ended(id: number, end: ProcessEnd): void
  /** `code`: the errno's name. */
  failed(id: number, step: StartStep, code: string): void
}

/** What is to be read next. */
type Next =
  | { readonly kind: 'header' }
  | {
      readonly kind: 'offset' | 'output' | 'payload'
      readonly type: number
      readonly id: number
      readonly left: number
    }

/**
 * Parses events in the pieces they arrive in, which may be overwritten after each push; copies only what a piece cuts in
 * two and what waits behind a start.
 */
export class EventParser {
  private chunks: Buffer[] = []
  /** How far the first chunk has been read. */
  private at = 0
  private next: Next = { kind: 'header' }
  private cut: Buffer[] = []
  private cutBytes = 0
  private yielded = false

  constructor(private readonly events: LauncherEvents) {}

  push(chunk: Buffer): void {
    this.chunks.push(chunk)
    if (!this.yielded) this.parse()
    const last = this.chunks.pop()
    if (!last) return
    const read = this.chunks.length === 0 ? this.at : 0
    this.at -= read
    this.chunks.push(Buffer.from(last.subarray(read)))
  }

  private parse(): void {
    this.yielded = false
    while (this.chunks.length > 0 && !this.yielded) this.step(this.next)
  }

  private step(next: Next): void {
    if (next.kind === 'output') {
      this.readOutput(next.id, next.left)
      return
    }
    const bytes = this.take(next.kind === 'header' ? HEADER_BYTES : next.kind === 'offset' ? OFFSET_BYTES : next.left)
    if (!bytes) return
    if (next.kind === 'header') {
      const type = bytes.readUInt32LE(4)
      const left = bytes.readUInt32LE(0)
      this.next = { kind: type === OUTPUT ? 'offset' : 'payload', type, id: getUint64(bytes, 8), left }
    } else if (next.kind === 'offset') {
      // The offset is for whoever joins in the middle.
      this.next = { ...next, kind: 'output', left: next.left - OFFSET_BYTES }
    } else {
      this.next = { kind: 'header' }
      this.tell(next.type, next.id, bytes)
    }
  }

  private readOutput(id: number, left: number): void {
    const [chunk] = this.chunks as [Buffer]
    const bytes = chunk.subarray(this.at, this.at + left)
    this.advance(chunk, bytes.length)
    this.next =
      bytes.length === left ? { kind: 'header' } : { kind: 'output', type: OUTPUT, id, left: left - bytes.length }
    this.events.output(id, bytes)
  }

  private tell(type: number, id: number, payload: Buffer): void {
    switch (type) {
      case STARTED:
        this.yielded = true
        this.events.started(id, payload.readUInt32LE(0))
        queueMicrotask(() => this.parse())
        break
      case ENDED:
        this.events.ended(id, readEnd(payload))
        break
      case FAILED:
        this.events.failed(id, STEPS[payload.readUInt32LE(0)] ?? 'unknown', errnoName(payload.readUInt32LE(4)))
        break
    }
  }

  /** The next bytes, so many; undefined where they are not all there yet. */
  private take(length: number): Buffer | undefined {
    for (let chunk = this.chunks[0]; chunk; chunk = this.chunks[0]) {
      const part = chunk.subarray(this.at, this.at + length - this.cutBytes)
      this.advance(chunk, part.length)
      if (part.length === length) return part
      this.cut.push(Buffer.from(part))
      this.cutBytes += part.length
      if (this.cutBytes < length) continue
      const whole = Buffer.concat(this.cut)
      this.cut = []
      this.cutBytes = 0
      return whole
    }
    return undefined
  }

  private advance(chunk: Buffer, bytes: number): void {
    this.at += bytes
    if (this.at < chunk.length) return
    this.chunks.shift()
    this.at = 0
  }
}

const OUT_OF_MEMORY: readonly (OutOfMemory | undefined)[] = [undefined, 'own limit', 'limit above', 'node']

function readEnd(payload: Buffer): ProcessEnd {
  const signal = payload.readUInt32LE(4)
  const ownCpuUs = getUint64(payload, 8) + getUint64(payload, 16)
  const ownRssKb = getUint64(payload, 24)
  const cgroupCpuUs = getUint64(payload, 32)
  const cgroupPeak = getUint64(payload, 40)
  const outOfMemory = OUT_OF_MEMORY[payload.readUInt32LE(48)]
  return {
    // A cgroup knows of all processes; without one it is the leader and those it has waited for.
    use: {
      cpuMs: Math.round(Math.max(ownCpuUs, cgroupCpuUs) / 1000),
      maxRssKb: cgroupPeak > 0 ? Math.ceil(cgroupPeak / 1024) : ownRssKb,
    },
    ...(outOfMemory && { outOfMemory }),
    ...(signal === 0
      ? { kind: 'exited', code: payload.readUInt32LE(0) }
      : { kind: 'killed', signal: signalName(signal) }),
  }
}

/** Realtime signals have no names in Node; two of them are the C library's own. */
const SIGRTMIN = 34

function signalName(number: number): string {
  if (number >= SIGRTMIN) return number === SIGRTMIN ? 'SIGRTMIN' : `SIGRTMIN+${number - SIGRTMIN}`
  const [name] = Object.entries(constants.signals).find(([, value]) => value === number) ?? []
  return name ?? `signal ${number}`
}

function errnoName(number: number): string {
  const [name] = Object.entries(constants.errno).find(([, value]) => value === number) ?? []
  return name ?? `errno ${number}`
}
