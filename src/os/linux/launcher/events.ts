import { constants } from 'node:os'
import * as protocol from '../../../generated/native/launcher-protocol.js'
import type { EndCause, KeptProcess, OutOfMemory, ProcessEnd, ProcessFacts, Room } from '../../platform.js'
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

/**
 * Parses events from chunks, which may be overwritten after each push. Copies only what a chunk boundary cuts. Most
 * frames are whole: they are read where they are, and nothing is made for them.
 */
export class EventParser {
  /** The start of a frame that the last chunk has cut off. */
  private cut: Buffer = NOTHING
  /** Bytes that are to come of an output frame, and whose it is. */
  private outputLeft = 0
  private outputId = 0

  constructor(private readonly events: LauncherEvents) {}

  push(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.outputLeft > 0) at = this.readOutput(chunk, at)
      else if (this.cut.length > 0) at = this.complete(chunk, at)
      else if (isWhole(chunk, at)) at = this.read(chunk, at)
      else {
        this.cut = Buffer.from(chunk.subarray(at))
        return
      }
    }
  }

  /** Reads the frame at this position, of output only what comes before its bytes; answers where it ends. */
  private read(bytes: Buffer, at: number): number {
    const type = bytes.readUInt32LE(at + FRAME_AT.type)
    const length = bytes.readUInt32LE(at + FRAME_AT.length)
    const id = getUint64(bytes, at + FRAME_AT.id)
    const payload = at + protocol.FRAME_BYTES
    if (type === protocol.FRAME_OUTPUT) {
      // The offset is known already: output comes without gaps from the one at which it was attached.
      this.outputLeft = length - protocol.OUTPUT_EVENT_BYTES
      this.outputId = id
      return payload + protocol.OUTPUT_EVENT_BYTES
    }
    this.dispatch(type, id, bytes, payload, length)
    return payload + length
  }

  private readOutput(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.outputLeft)
    this.outputLeft -= end - at
    this.events.output(this.outputId, chunk.subarray(at, end))
    return end
  }

  /** Adds to the frame that was cut off what it lacks, as far as it has come; answers where that ends. */
  private complete(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + missing(this.cut, 0))
    const bytes = Buffer.concat([this.cut, chunk.subarray(at, end)])
    const whole = isWhole(bytes, 0)
    this.cut = whole ? NOTHING : bytes
    if (whole) this.read(bytes, 0)
    return end
  }

  private dispatch(type: number, id: number, bytes: Buffer, at: number, length: number): void {
    switch (type) {
      case protocol.FRAME_READY:
        this.events.ready(bytes.readUInt32LE(at + READY_EVENT_AT.version))
        break
      case protocol.FRAME_STARTED:
        this.events.started(id, bytes.readUInt32LE(at + STARTED_EVENT_AT.pid))
        break
      case protocol.FRAME_ENDED:
        this.events.ended(id, readEnd(bytes, at, length))
        break
      case protocol.FRAME_FAILED:
        this.events.failed(id, readFailure(bytes.subarray(at, at + length)))
        break
      case protocol.FRAME_LISTED:
        if (bytes.readUInt32LE(at + LISTED_EVENT_AT.flags) & protocol.START_KEPT)
          this.events.listed(readListed(id, bytes.subarray(at, at + length)))
        break
      case protocol.FRAME_LIST_END:
        this.events.listEnd()
        break
    }
  }
}

const isWhole = (bytes: Buffer, at: number) => missing(bytes, at) <= 0

/** How many bytes the frame at this position lacks, as far as its start tells. Of output only what comes before it counts. */
function missing(bytes: Buffer, at: number): number {
  const there = bytes.length - at
  if (there < protocol.FRAME_BYTES) return protocol.FRAME_BYTES - there
  const isOutput = bytes.readUInt32LE(at + FRAME_AT.type) === protocol.FRAME_OUTPUT
  const payload = isOutput ? protocol.OUTPUT_EVENT_BYTES : bytes.readUInt32LE(at + FRAME_AT.length)
  return protocol.FRAME_BYTES + payload - there
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

type Changing<T> = { -readonly [Key in keyof T]: T[Key] }

function readEnd(bytes: Buffer, at: number, length: number): ProcessEnd {
  const own = getUint64(bytes, at + ENDED_EVENT_AT.user_us) + getUint64(bytes, at + ENDED_EVENT_AT.system_us)
  const cpuUs = Math.max(own, getUint64(bytes, at + ENDED_EVENT_AT.cgroup_cpu_us))
  const peak = getUint64(bytes, at + ENDED_EVENT_AT.cgroup_memory_peak)
  const end: Changing<Omit<ProcessEnd, 'kind'> & ProcessFacts> = {
    durationMs: getUint64(bytes, at + ENDED_EVENT_AT.duration_us) / 1000,
  }
  const cause = causeOf(bytes.readUInt32LE(at + ENDED_EVENT_AT.cause))
  if (cause) end.cause = cause
  // With a cgroup, the values cover all processes; without, the leader and those it waited for.
  const maxRssKb = peak > 0 ? Math.ceil(peak / 1024) : getUint64(bytes, at + ENDED_EVENT_AT.max_rss_kb)
  end.use = { cpuMs: Math.round(cpuUs / 1000), maxRssKb }
  const outOfMemory = OUT_OF_MEMORY[bytes.readUInt16LE(at + ENDED_EVENT_AT.oom) as protocol.Oom]
  if (outOfMemory) end.outOfMemory = outOfMemory
  const oomKills = bytes.readUInt32LE(at + ENDED_EVENT_AT.oom_kills)
  if (oomKills > 0) end.oomKills = oomKills
  const usedUp = bytes.readUInt16LE(at + ENDED_EVENT_AT.used_up)
  if (usedUp !== 0) end.usedUp = ROOMS.filter(([flag]) => usedUp & flag).map(([, room]) => room)
  const count = bytes.readUInt32LE(at + ENDED_EVENT_AT.survivors)
  if (count > 0) end.survivors = { count, pids: readPids(bytes.subarray(at + protocol.ENDED_EVENT_BYTES, at + length)) }
  const signal = bytes.readUInt32LE(at + ENDED_EVENT_AT.signal)
  return signal === 0
    ? Object.assign(end, { kind: 'exited', code: bytes.readUInt32LE(at + ENDED_EVENT_AT.exit_code) } as const)
    : Object.assign(end, { kind: 'killed', signal: signalName(signal) } as const)
}

function readFailure(payload: Buffer): LauncherFailure {
  const cause = causeOf(payload.readUInt32LE(FAILED_EVENT_AT.cause))
  return {
    step: STEPS[payload.readUInt32LE(FAILED_EVENT_AT.step) as protocol.Step] ?? 'unknown',
    code: errnoName(payload.readUInt32LE(FAILED_EVENT_AT.error)),
    survivors: readPids(payload.subarray(protocol.FAILED_EVENT_BYTES)),
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

function readPids(bytes: Buffer): number[] {
  return Array.from({ length: bytes.length / 4 }, (_, i) => bytes.readUInt32LE(4 * i))
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
