import * as protocol from '../../../generated/native/launcher-protocol.js'
import type { EndCause, Sandboxes, StartRequest } from '../../platform.js'
import { FUNCTION_OOM_SCORE } from '../priority.js'
import { causeNumber } from './causes.js'
import { putUint64 } from './uint64.js'

/** Builds requests to the launcher: see protocol.h. */

const { FRAME_AT, FRAME_BYTES, RLIMIT_REQUEST_BYTES, START_REQUEST_AT, START_REQUEST_BYTES } = protocol
const OFFSET_BYTES = 8
const CAUSE_BYTES = 4
const GROUP_BYTES = 4

/** Other users cannot read what functions write. */
const UMASK = 0o077
/** Resource, soft and hard limit (getrlimit(2)), bounded by the launcher's own hard limits. */
const RLIMITS = rlimits([
  // No core dumps: they are as large as the function's memory.
  [4, 0, 0],
  // As for system services: select(2) fails beyond 1024, and programs that need more raise it.
  [7, 1024, 524_288],
])

/** Settings shared by all executions of a worker. */
export interface Confinement {
  readonly noNewPrivileges: boolean
  /** Processes and threads; 0: no limit. */
  readonly maxProcesses: number
  readonly keepsMemory: boolean
  readonly keepsCpu: boolean
  /** Whether the kernel kills one process when memory runs out, not the whole execution. */
  readonly oomKillsOne: boolean
  /** Whether processes with a note outlive the agent. */
  readonly keeps: boolean
}

/** A request to start a process; undefined where it exceeds the kernel's limit (E2BIG of execve(2)). */
export function startFrame(
  id: number,
  request: StartRequest,
  confinement: Confinement,
  credit: number,
): Buffer | undefined {
  const { file, cwd, args, limits, runAs, sandbox } = request
  const groups = runAs?.groups ?? []
  const shared = sharedVariables(request.env)
  const own = variables(request.ownEnv ?? {})
  const text = `${strings([file, cwd, file])}${strings(args)}${shared.text}${own.text}${strings(sandbox === undefined ? [] : [sandbox])}`
  const textBytes = Buffer.byteLength(text)
  const note = isKept(request, confinement) ? request.note : undefined
  const noteBytes = note?.length ?? 0
  const payload = START_REQUEST_BYTES + RLIMITS.length + groups.length * GROUP_BYTES + textBytes + noteBytes
  if (payload > protocol.PAYLOAD_MAX) return undefined

  const frame = Buffer.allocUnsafe(FRAME_BYTES + payload)
  const start = header(frame, payload, protocol.FRAME_START, id)
  putUint64(frame, credit, start + START_REQUEST_AT.credit)
  const memoryMax = confinement.keepsMemory ? (limits?.memoryMb ?? 0) * 2 ** 20 : 0
  putUint64(frame, memoryMax, start + START_REQUEST_AT.memory_max)
  putUint64(frame, Math.ceil(request.timeoutMs ?? 0), start + START_REQUEST_AT.timeout_ms)
  const cpu = confinement.keepsCpu ? (limits?.cpuMillicores ?? 0) : 0
  frame.writeUInt32LE(cpu, start + START_REQUEST_AT.cpu_millicores)
  frame.writeUInt32LE(confinement.maxProcesses, start + START_REQUEST_AT.pids_max)
  frame.writeUInt32LE(startFlags(request, confinement), start + START_REQUEST_AT.flags)
  frame.writeUInt32LE(runAs?.uid ?? 0, start + START_REQUEST_AT.uid)
  frame.writeUInt32LE(runAs?.gid ?? 0, start + START_REQUEST_AT.gid)
  frame.writeUInt32LE(UMASK, start + START_REQUEST_AT.umask)
  frame.writeInt32LE(FUNCTION_OOM_SCORE, start + START_REQUEST_AT.oom_score_adj)
  frame.writeUInt32LE(RLIMITS.length / RLIMIT_REQUEST_BYTES, start + START_REQUEST_AT.rlimits)
  frame.writeUInt32LE(groups.length, start + START_REQUEST_AT.groups)
  frame.writeUInt32LE(args.length + 1, start + START_REQUEST_AT.argc)
  frame.writeUInt32LE(shared.count + own.count, start + START_REQUEST_AT.envc)
  frame.writeUInt32LE(noteBytes, start + START_REQUEST_AT.note)
  let at = start + START_REQUEST_BYTES
  at += RLIMITS.copy(frame, at)
  for (const group of groups) at = frame.writeUInt32LE(group, at)
  at += frame.write(text, at)
  if (note) frame.set(note, at)
  return frame
}

interface Variables {
  /** `NAME=VALUE`, each ended by NUL. */
  readonly text: string
  readonly count: number
}

/** By the object that holds them, which all executions of a function share. */
const written = new WeakMap<object, Variables>()

function sharedVariables(environment: StartRequest['env']): Variables {
  const known = written.get(environment)
  if (known) return known
  const made = variables(environment)
  written.set(environment, made)
  return made
}

function variables(environment: StartRequest['env']): Variables {
  let text = ''
  let count = 0
  for (const name in environment) {
    text += `${name}=${environment[name]}\0`
    count++
  }
  return { text, count }
}

/** Tells a launcher where sandboxes come from; before the first start. */
export function sandboxesFrame({ program, registry, runAs, appsDir, stateDir, ...rest }: Sandboxes): Buffer {
  const text = strings([program, registry, runAs.name, runAs.home, appsDir, stateDir])
  const payload = protocol.SANDBOXES_REQUEST_BYTES + Buffer.byteLength(text)
  const frame = Buffer.alloc(FRAME_BYTES + payload)
  const start = header(frame, payload, protocol.FRAME_SANDBOXES, 0)
  putUint64(frame, rest.tmpBytes, start + protocol.SANDBOXES_REQUEST_AT.tmp_bytes)
  putUint64(frame, rest.diskBytes, start + protocol.SANDBOXES_REQUEST_AT.disk_bytes)
  const flags = rest.network === 'none' ? protocol.SANDBOXES_NO_NETWORK : 0
  frame.writeUInt32LE(flags, start + protocol.SANDBOXES_REQUEST_AT.flags)
  frame.write(text, start + protocol.SANDBOXES_REQUEST_BYTES)
  return frame
}

function rlimits(limits: readonly (readonly number[])[]): Buffer {
  const bytes = Buffer.alloc(limits.length * RLIMIT_REQUEST_BYTES)
  let at = 0
  for (const value of limits.flat()) at = putUint64(bytes, value, at)
  return bytes
}

/** Each ended by NUL. */
function strings(texts: readonly string[]): string {
  let all = ''
  for (const text of texts) all += `${text}\0`
  return all
}

/** Whether a process outlives the agent. */
export function isKept({ note }: StartRequest, { keeps }: Confinement): boolean {
  return keeps && note !== undefined
}

export function killFrame(id: number, cause: EndCause): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_BYTES + CAUSE_BYTES)
  frame.writeUInt32LE(causeNumber(cause), header(frame, CAUSE_BYTES, protocol.FRAME_KILL, id))
  return frame
}

export function creditFrame(id: number, bytes: number): Buffer {
  return offsetFrame(protocol.FRAME_CREDIT, id, bytes)
}

export function attachFrame(id: number, offset: number): Buffer {
  return offsetFrame(protocol.FRAME_ATTACH, id, offset)
}

export function forgetFrame(id: number): Buffer {
  return bareFrame(protocol.FRAME_FORGET, id)
}

export function listFrame(): Buffer {
  return bareFrame(protocol.FRAME_LIST, 0)
}

export function leaveFrame(): Buffer {
  return bareFrame(protocol.FRAME_LEAVE, 0)
}

function bareFrame(type: number, id: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_BYTES)
  header(frame, 0, type, id)
  return frame
}

function offsetFrame(type: number, id: number, offset: number): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_BYTES + OFFSET_BYTES)
  putUint64(frame, offset, header(frame, OFFSET_BYTES, type, id))
  return frame
}

function startFlags(request: StartRequest, confinement: Confinement): number {
  const { runAs, ownTmpdir, sandbox } = request
  return (
    protocol.START_OOM_SCORE |
    (runAs ? protocol.START_AS_USER : 0) |
    (confinement.noNewPrivileges ? protocol.START_NO_NEW_PRIVS : 0) |
    (confinement.oomKillsOne ? protocol.START_OOM_ONE : 0) |
    (ownTmpdir ? protocol.START_TMPDIR : 0) |
    (isKept(request, confinement) ? protocol.START_KEPT : 0) |
    (sandbox === undefined ? 0 : protocol.START_SANDBOX)
  )
}

/** Writes the header; answers where the payload begins. */
function header(frame: Buffer, length: number, type: number, id: number): number {
  frame.writeUInt32LE(length, FRAME_AT.length)
  frame.writeUInt32LE(type, FRAME_AT.type)
  putUint64(frame, id, FRAME_AT.id)
  return FRAME_BYTES
}
