import { constants } from 'node:os'
import type { OutOfMemory, ProcessEnd } from '../../platform.js'
import { getUint64, HEADER_BYTES } from './frame.js'

/** What a launcher tells its worker thread, in the frames that launcher.h defines. */

const OFFSET_BYTES = 8
const ENDED_BYTES = 64
const FAILED_BYTES = 8
const NOTHING = Buffer.alloc(0)

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
  started(id: number, pid: number): void
  /** A part of the chunk that was read, which is the reader's again after the call; one frame may come in several. */
  output(id: number, bytes: Buffer): void
  ended(id: number, end: ProcessEnd): void
  failed(id: number, failure: LauncherFailure): void
}

export interface LauncherFailure {
  readonly step: StartStep
  /** The errno's name. */
  readonly code: string
  readonly survivors: readonly number[]
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
 * two.
 */
export class EventParser {
  private chunk: Buffer = NOTHING
  /** How far the chunk has been read. */
  private at = 0
  private next: Next = { kind: 'header' }
  /** The beginning of what the last chunk has cut in two. */
  private cut: Buffer = NOTHING

  constructor(private readonly events: LauncherEvents) {}

  push(chunk: Buffer): void {
    this.chunk = chunk
    this.at = 0
    while (this.at < chunk.length) this.step(this.next)
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
    const bytes = this.chunk.subarray(this.at, this.at + left)
    this.at += bytes.length
    this.next =
      bytes.length === left ? { kind: 'header' } : { kind: 'output', type: OUTPUT, id, left: left - bytes.length }
    this.events.output(id, bytes)
  }

  private tell(type: number, id: number, payload: Buffer): void {
    switch (type) {
      case STARTED:
        this.events.started(id, payload.readUInt32LE(0))
        break
      case ENDED:
        this.events.ended(id, readEnd(payload))
        break
      case FAILED:
        this.events.failed(id, {
          step: STEPS[payload.readUInt32LE(0)] ?? 'unknown',
          code: errnoName(payload.readUInt32LE(4)),
          survivors: readPids(payload, FAILED_BYTES),
        })
        break
    }
  }

  /** The next bytes, so many; undefined where they are not all there yet. */
  private take(length: number): Buffer | undefined {
    const part = this.chunk.subarray(this.at, this.at + length - this.cut.length)
    this.at += part.length
    const bytes = this.cut.length === 0 ? part : Buffer.concat([this.cut, part])
    const whole = bytes.length === length
    this.cut = whole ? NOTHING : Buffer.from(bytes)
    return whole ? bytes : undefined
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
  const survivors = payload.readUInt32LE(52)
  const oomKills = payload.readUInt32LE(56)
  return {
    // A cgroup knows of all processes; without one it is the leader and those it has waited for.
    use: {
      cpuMs: Math.round(Math.max(ownCpuUs, cgroupCpuUs) / 1000),
      maxRssKb: cgroupPeak > 0 ? Math.ceil(cgroupPeak / 1024) : ownRssKb,
    },
    ...(outOfMemory && { outOfMemory }),
    ...(oomKills > 0 && { oomKills }),
    ...(survivors > 0 && { survivors: { count: survivors, pids: readPids(payload, ENDED_BYTES) } }),
    ...(signal === 0
      ? { kind: 'exited', code: payload.readUInt32LE(0) }
      : { kind: 'killed', signal: signalName(signal) }),
  }
}

/** Those behind the fixed part of a payload. */
function readPids(payload: Buffer, at: number): number[] {
  return Array.from({ length: (payload.length - at) / 4 }, (_, i) => payload.readUInt32LE(at + 4 * i))
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
