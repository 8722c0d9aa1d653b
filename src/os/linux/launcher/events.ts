import { constants } from 'node:os'
import * as protocol from '../../../generated/native/launcher-protocol.js'
import type { EndCause, KeptProcess, OutOfMemory, ProcessEnd, Room } from '../../platform.js'
import { causeOf } from './causes.js'
import { getUint64 } from './uint64.js'

/** Parses the launcher's events: see protocol.h. */

const NOTHING = Buffer.alloc(0)
const { FRAME_AT, READY_EVENT_AT, STARTED_EVENT_AT, ENDED_EVENT_AT, FAILED_EVENT_AT, LISTED_EVENT_AT } = protocol

const STEPS = {
  [protocol.STEP_REQUEST]: 'request',
  [protocol.STEP_CANCELLED]: 'cancelled',
  [protocol.STEP_PIPE]: 'pipe',
  [protocol.STEP_CGROUP]: 'cgroup',
  [protocol.STEP_CLONE]: 'clone',
  [protocol.STEP_SESSION]: 'session',
  [protocol.STEP_OOM_SCORE]: 'oom_score_adj',
  [protocol.STEP_RLIMIT]: 'rlimit',
  [protocol.STEP_GROUPS]: 'setgroups',
  [protocol.STEP_GID]: 'setgid',
  [protocol.STEP_UID]: 'setuid',
  [protocol.STEP_NO_NEW_PRIVS]: 'no_new_privs',
  [protocol.STEP_FOLDER]: 'chdir',
  [protocol.STEP_EXEC]: 'exec',
  [protocol.STEP_SANDBOX]: 'sandbox',
  [protocol.STEP_JOIN]: 'setns',
} as const satisfies Record<protocol.Step, string>

/** The step at which a start failed. */
export type StartStep = (typeof STEPS)[protocol.Step] | 'unknown'

/** Receives events, in order. */
export interface LauncherEvents {
  /** The protocol's version that the launcher speaks. Nothing that follows is understood where it is another. */
  ready(version: number): void
  started(id: number, pid: number): void
  /** A view of the chunk, valid during the call; one frame may come in several. */
  output(id: number, bytes: Buffer): void
  ended(id: number, end: ProcessEnd): void
  failed(id: number, failure: LauncherFailure): void
  /** A process that the launcher keeps. */
  listed(process: KeptProcess): void
  listEnd(): void
}

export interface LauncherFailure {
  readonly step: StartStep
  /** The errno's name. */
  readonly code: string
  readonly survivors: readonly number[]
  readonly cause?: EndCause
}

/** What the parser expects next. */
type Next =
  | { readonly kind: 'header' }
  | {
      readonly kind: 'offset' | 'output' | 'payload'
      readonly type: number
      readonly id: number
      readonly left: number
    }

/** Parses events from chunks, which may be overwritten after each push. Copies only what a chunk boundary cuts. */
export class EventParser {
  private chunk: Buffer = NOTHING
  /** Read position in the chunk. */
  private at = 0
  private next: Next = { kind: 'header' }
  /** The start of what the last chunk cut off. */
  private cut: Buffer = NOTHING

  constructor(private readonly events: LauncherEvents) {}

  push(chunk: Buffer): void {
    this.chunk = chunk
    this.at = 0
    while (this.at < chunk.length || sizeOf(this.next) === 0) this.step(this.next)
  }

  private step(next: Next): void {
    if (next.kind === 'output') {
      this.readOutput(next.id, next.left)
      return
    }
    const bytes = this.take(sizeOf(next))
    if (!bytes) return
    if (next.kind === 'header') {
      const type = bytes.readUInt32LE(FRAME_AT.type)
      const left = bytes.readUInt32LE(FRAME_AT.length)
      const kind = type === protocol.FRAME_OUTPUT ? 'offset' : 'payload'
      this.next = { kind, type, id: getUint64(bytes, FRAME_AT.id), left }
    } else if (next.kind === 'offset') {
      // Known already: output comes without gaps from the offset at which it was attached.
      this.next = { ...next, kind: 'output', left: next.left - protocol.OUTPUT_EVENT_BYTES }
    } else {
      this.next = { kind: 'header' }
      this.dispatch(next.type, next.id, bytes)
    }
  }

  private readOutput(id: number, left: number): void {
    const bytes = this.chunk.subarray(this.at, this.at + left)
    this.at += bytes.length
    const rest = { kind: 'output', type: protocol.FRAME_OUTPUT, id, left: left - bytes.length } as const
    this.next = rest.left === 0 ? { kind: 'header' } : rest
    this.events.output(id, bytes)
  }

  private dispatch(type: number, id: number, payload: Buffer): void {
    switch (type) {
      case protocol.FRAME_READY:
        this.events.ready(payload.readUInt32LE(READY_EVENT_AT.version))
        break
      case protocol.FRAME_STARTED:
        this.events.started(id, payload.readUInt32LE(STARTED_EVENT_AT.pid))
        break
      case protocol.FRAME_ENDED:
        this.events.ended(id, readEnd(payload))
        break
      case protocol.FRAME_FAILED:
        this.events.failed(id, readFailure(payload))
        break
      case protocol.FRAME_LISTED:
        if (payload.readUInt32LE(LISTED_EVENT_AT.flags) & protocol.START_KEPT)
          this.events.listed(readListed(id, payload))
        break
      case protocol.FRAME_LIST_END:
        this.events.listEnd()
        break
    }
  }

  /** The next `length` bytes; undefined until all have come. */
  private take(length: number): Buffer | undefined {
    const part = this.chunk.subarray(this.at, this.at + length - this.cut.length)
    this.at += part.length
    const bytes = this.cut.length === 0 ? part : Buffer.concat([this.cut, part])
    const whole = bytes.length === length
    this.cut = whole ? NOTHING : Buffer.from(bytes)
    return whole ? bytes : undefined
  }
}

/** Bytes that the next step needs. */
function sizeOf(next: Next): number {
  if (next.kind === 'header') return protocol.FRAME_BYTES
  return next.kind === 'offset' ? protocol.OUTPUT_EVENT_BYTES : next.left
}

const OUT_OF_MEMORY: Record<protocol.Oom, OutOfMemory | undefined> = {
  [protocol.OOM_NONE]: undefined,
  [protocol.OOM_OWN_LIMIT]: 'own limit',
  [protocol.OOM_LIMIT_ABOVE]: 'limit above',
  [protocol.OOM_NODE]: 'node',
}

const ROOMS: readonly (readonly [protocol.UsedUp, Room])[] = [
  [protocol.USED_UP_TMP, 'tmp'],
  [protocol.USED_UP_DISK, 'disk'],
]

function readEnd(payload: Buffer): ProcessEnd {
  const signal = payload.readUInt32LE(ENDED_EVENT_AT.signal)
  const ownCpuUs = getUint64(payload, ENDED_EVENT_AT.user_us) + getUint64(payload, ENDED_EVENT_AT.system_us)
  const ownRssKb = getUint64(payload, ENDED_EVENT_AT.max_rss_kb)
  const cgroupCpuUs = getUint64(payload, ENDED_EVENT_AT.cgroup_cpu_us)
  const cgroupPeak = getUint64(payload, ENDED_EVENT_AT.cgroup_memory_peak)
  const outOfMemory = OUT_OF_MEMORY[payload.readUInt16LE(ENDED_EVENT_AT.oom) as protocol.Oom]
  const usedUpFlags = payload.readUInt16LE(ENDED_EVENT_AT.used_up)
  const usedUp = ROOMS.filter(([flag]) => usedUpFlags & flag).map(([, room]) => room)
  const survivors = payload.readUInt32LE(ENDED_EVENT_AT.survivors)
  const oomKills = payload.readUInt32LE(ENDED_EVENT_AT.oom_kills)
  const cause = causeOf(payload.readUInt32LE(ENDED_EVENT_AT.cause))
  return {
    durationMs: getUint64(payload, ENDED_EVENT_AT.duration_us) / 1000,
    ...(cause && { cause }),
    // With a cgroup, the values cover all processes; without, the leader and those it waited for.
    use: {
      cpuMs: Math.round(Math.max(ownCpuUs, cgroupCpuUs) / 1000),
      maxRssKb: cgroupPeak > 0 ? Math.ceil(cgroupPeak / 1024) : ownRssKb,
    },
    ...(outOfMemory && { outOfMemory }),
    ...(oomKills > 0 && { oomKills }),
    ...(usedUp.length > 0 && { usedUp }),
    ...(survivors > 0 && { survivors: { count: survivors, pids: readPids(payload, protocol.ENDED_EVENT_BYTES) } }),
    ...(signal === 0
      ? { kind: 'exited', code: payload.readUInt32LE(ENDED_EVENT_AT.exit_code) }
      : { kind: 'killed', signal: signalName(signal) }),
  }
}

function readFailure(payload: Buffer): LauncherFailure {
  const cause = causeOf(payload.readUInt32LE(FAILED_EVENT_AT.cause))
  return {
    step: STEPS[payload.readUInt32LE(FAILED_EVENT_AT.step) as protocol.Step] ?? 'unknown',
    code: errnoName(payload.readUInt32LE(FAILED_EVENT_AT.error)),
    survivors: readPids(payload, protocol.FAILED_EVENT_BYTES),
    ...(cause && { cause }),
  }
}

function readListed(number: number, payload: Buffer): KeptProcess {
  const pid = payload.readUInt32LE(LISTED_EVENT_AT.pid)
  return {
    number,
    ...(pid !== 0 && { pid }),
    note: new Uint8Array(payload.subarray(protocol.LISTED_EVENT_BYTES)),
    keptFrom: getUint64(payload, LISTED_EVENT_AT.kept),
    outputLength: getUint64(payload, LISTED_EVENT_AT.offset),
  }
}

/** The pids after the fixed part of a payload. */
function readPids(payload: Buffer, at: number): number[] {
  return Array.from({ length: (payload.length - at) / 4 }, (_, i) => payload.readUInt32LE(at + 4 * i))
}

/** Node has no names for realtime signals; the C library reserves the first two. */
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
