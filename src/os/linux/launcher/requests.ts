import type { StartRequest } from '../../platform.js'
import { FUNCTION_OOM_SCORE } from '../priority.js'
import { HEADER_BYTES, putUint64 } from './frame.js'

/** What a worker thread asks of its launcher, in the frames that launcher.h defines. */

const PAYLOAD_MAX = 8 * 1024 * 1024
const FIXED_BYTES = 64
const RLIMIT_BYTES = 24

const START = 1
const KILL = 2
const CREDIT = 3

const AS_USER = 1
const NO_NEW_PRIVILEGES = 2
const SET_OOM_SCORE = 4
const OOM_ONE = 8
const OWN_TMPDIR = 16

/** Other users of the node have no part in what functions write. */
const UMASK = 0o077
/** Resource, soft and hard limit (getrlimit(2)). The launcher's own hard limits bound these. */
const RLIMITS = [
  // A core dump is as large as the function's memory.
  [4, 0, 0],
  // As services of the system have it: select(2) breaks beyond 1024, and who knows better raises it.
  [7, 1024, 524_288],
] as const

/** What is the same for all executions of a worker. */
export interface Confinement {
  readonly noNewPrivileges: boolean
  /** Processes and threads; 0: no limit. */
  readonly maxProcesses: number
  readonly keepsMemory: boolean
  readonly keepsCpu: boolean
  /** Where memory runs out, one process is killed, not all of the execution. */
  readonly oomKillsOne: boolean
}

/** Undefined where it is longer than the kernel takes (E2BIG of execve(2)). */
export function startFrame(
  id: number,
  request: StartRequest,
  confinement: Confinement,
  credit: number,
): Buffer | undefined {
  const { runAs, limits } = request
  const groups = runAs?.groups ?? []
  const environment = Object.entries(request.env)
  const text = [request.file, request.cwd, request.file, ...request.args, ...environment.map((pair) => pair.join('='))]
    .map((string) => `${string}\0`)
    .join('')
  const payload = FIXED_BYTES + RLIMITS.length * RLIMIT_BYTES + groups.length * 4 + Buffer.byteLength(text)
  if (payload > PAYLOAD_MAX) return undefined

  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload)
  let at = header(frame, payload, START, id)
  at = putUint64(frame, credit, at)
  at = putUint64(frame, confinement.keepsMemory ? (limits?.memoryMb ?? 0) * 2 ** 20 : 0, at)
  at = frame.writeUInt32LE(confinement.keepsCpu ? (limits?.cpuMillicores ?? 0) : 0, at)
  at = frame.writeUInt32LE(confinement.maxProcesses, at)
  at = frame.writeUInt32LE(startFlags(request, confinement), at)
  at = frame.writeUInt32LE(runAs?.uid ?? 0, at)
  at = frame.writeUInt32LE(runAs?.gid ?? 0, at)
  at = frame.writeUInt32LE(UMASK, at)
  at = frame.writeInt32LE(FUNCTION_OOM_SCORE, at)
  at = frame.writeUInt32LE(RLIMITS.length, at)
  at = frame.writeUInt32LE(groups.length, at)
  at = frame.writeUInt32LE(request.args.length + 1, at)
  at = frame.writeUInt32LE(environment.length, at)
  at = frame.writeUInt32LE(0, at)
  for (const limit of RLIMITS) for (const value of limit) at = putUint64(frame, value, at)
  for (const group of groups) at = frame.writeUInt32LE(group, at)
  frame.write(text, at)
  return frame
}

export function killFrame(id: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES)
  header(frame, 0, KILL, id)
  return frame
}

export function creditFrame(id: number, bytes: number): Buffer {
  const frame = Buffer.allocUnsafe(HEADER_BYTES + 8)
  putUint64(frame, bytes, header(frame, 8, CREDIT, id))
  return frame
}

function startFlags({ runAs, ownTmpdir }: StartRequest, confinement: Confinement): number {
  return (
    SET_OOM_SCORE |
    (runAs ? AS_USER : 0) |
    (confinement.noNewPrivileges ? NO_NEW_PRIVILEGES : 0) |
    (confinement.oomKillsOne ? OOM_ONE : 0) |
    (ownTmpdir ? OWN_TMPDIR : 0)
  )
}

/** Answers where the payload begins. */
function header(frame: Buffer, length: number, type: number, id: number): number {
  frame.writeUInt32LE(length, 0)
  frame.writeUInt32LE(type, 4)
  return putUint64(frame, id, 8)
}
