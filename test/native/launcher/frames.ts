/**
 * An independent reading of protocol.h. Nothing here comes from the agent's encoder and parser, nor from the TypeScript
 * that is made of that header: its numbers are written out again, so that a mistake on the other side shows.
 */

export const Type = { start: 1, kill: 2, credit: 3, list: 4, attach: 5, forget: 6, leave: 7, sandboxes: 8 } as const

export const STEPS = [
  '',
  'REQUEST',
  'CANCELLED',
  'PIPE',
  'CGROUP',
  'CLONE',
  'SESSION',
  'OOM_SCORE',
  'RLIMIT',
  'GROUPS',
  'GID',
  'UID',
  'NO_NEW_PRIVS',
  'FOLDER',
  'EXEC',
  'SANDBOX',
  'JOIN',
] as const

export const Feature = { clone3: 1, cgroup: 2 } as const
export const Flag = { asUser: 1, noNewPrivs: 2, oomScore: 4, oomOne: 8, tmpdir: 16, kept: 32, sandbox: 64 } as const
export const Cause = { none: 0, timeout: 1, own: 2 } as const
export const UsedUp = { tmp: 1, disk: 2 } as const
export const State = { starting: 1, running: 2, ended: 3 } as const
export const NO_LIMIT = 2n ** 64n - 1n

type Long = number | bigint

/** A START, of which only the file must be given. */
export interface Start {
  readonly file: string
  readonly folder?: string
  /** With the program's own name; by default that alone. */
  readonly argv?: readonly string[]
  readonly env?: readonly string[]
  readonly credit?: Long
  readonly memoryMax?: Long
  readonly cpuMillicores?: number
  readonly pidsMax?: number
  /** Beside those that the other fields imply. */
  readonly flags?: number
  readonly user?: { readonly uid: number; readonly gid: number; readonly groups?: readonly number[] }
  readonly umask?: number
  readonly oomScore?: number
  readonly timeoutMs?: Long
  /** Whether it outlives its connection. */
  readonly kept?: boolean
  /** The function whose sandbox it joins. */
  readonly sandbox?: string
  /** Characters below 256, each a byte. */
  readonly note?: string
  /** Resource, soft and hard limit. */
  readonly rlimits?: readonly (readonly [Long, Long, Long])[]
}

export type Event =
  | { readonly type: 'ready'; readonly id: bigint; readonly version: number; readonly features: number }
  | { readonly type: 'started'; readonly id: bigint; readonly pid: number }
  | { readonly type: 'output'; readonly id: bigint; readonly offset: number; readonly bytes: Buffer }
  | ({ readonly type: 'ended'; readonly id: bigint } & End)
  | ({ readonly type: 'failed'; readonly id: bigint } & Failure)
  | ({ readonly type: 'listed' } & Listed)
  | { readonly type: 'listEnd'; readonly id: bigint }

/** What is told of an execution that is attached. */
export type ExecutionEvent = Exclude<Event, { type: 'ready' | 'listed' | 'listEnd' }>

export interface Failure {
  readonly step: string
  readonly errno: number
  /** Where there is one. */
  readonly cause?: number
  /** Pids of what does not die, where there is any. */
  readonly survivors?: readonly number[]
}

export interface End {
  readonly exitCode: number
  readonly signal: number
  readonly userUs: number
  readonly systemUs: number
  readonly maxRssKb: number
  readonly cgroupCpuUs: number
  readonly cgroupMemoryPeak: number
  readonly durationUs: number
  readonly oom: number
  readonly usedUp: number
  readonly oomKills: number
  readonly survivors: number
  readonly cause: number
  /** Of these, the first few. */
  readonly pids: readonly number[]
}

export interface Listed {
  readonly id: bigint
  readonly kept: number
  readonly offset: number
  readonly ageMs: number
  readonly pid: number
  readonly state: number
  readonly cause: number
  readonly flags: number
  readonly note: string
}

export function frame(type: number, id: Long, payload: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([words(payload.length, type), longs(id), payload])
}

/** The fixed part, the rlimits, the groups, the strings, the note. */
export function startPayload(start: Start): Buffer {
  const { file, argv = [file], env = [], user, rlimits = [], sandbox } = start
  const functions = sandbox === undefined ? [] : [sandbox]
  const groups = user?.groups ?? []
  const note = Buffer.from(start.note ?? '', 'latin1')
  return Buffer.concat([
    longs(start.credit ?? NO_LIMIT, start.memoryMax ?? 0, start.timeoutMs ?? 0),
    words(start.cpuMillicores ?? 0, start.pidsMax ?? 0, flagsOf(start), user?.uid ?? 0, user?.gid ?? 0),
    words(start.umask ?? 0o022, start.oomScore ?? 0, rlimits.length, groups.length, argv.length, env.length),
    words(note.length),
    encodeLongs(rlimits.flat()),
    encodeWords(groups),
    Buffer.from([file, start.folder ?? '/', ...argv, ...env, ...functions].map((string) => `${string}\0`).join('')),
    note,
  ])
}

function flagsOf({ flags = 0, user, oomScore, kept, sandbox }: Start): number {
  return (
    flags |
    (user ? Flag.asUser : 0) |
    (oomScore === undefined ? 0 : Flag.oomScore) |
    (kept ? Flag.kept : 0) |
    (sandbox === undefined ? 0 : Flag.sandbox)
  )
}

export const startFrame = (id: Long, start: Start) => frame(Type.start, id, startPayload(start))
export const killFrame = (id: Long, cause: number = Cause.none) => frame(Type.kill, id, words(cause))
export const creditFrame = (id: Long, bytes: Long) => frame(Type.credit, id, longs(bytes))
export const listFrame = (id: Long) => frame(Type.list, id)
export const attachFrame = (id: Long, offset: Long) => frame(Type.attach, id, longs(offset))
export const forgetFrame = (id: Long) => frame(Type.forget, id)
export const sandboxesFrame = (tmpBytes: Long, diskBytes: Long, flags: number, strings: readonly string[]) => {
  const text = Buffer.from(strings.map((string) => `${string}\0`).join(''))
  return frame(Type.sandboxes, 0, Buffer.concat([longs(tmpBytes, diskBytes), words(flags, 0), text]))
}
export const leaveFrame = () => frame(Type.leave, 0)

/** The whole frames at the beginning, and how many bytes they are. Throws where one breaks the protocol. */
export function parseEvents(stream: Buffer): { readonly events: Event[]; readonly length: number } {
  const events: Event[] = []
  let at = 0
  while (stream.length - at >= 16) {
    const end = at + 16 + stream.readUInt32LE(at)
    if (end > stream.length) break
    events.push(parse(stream.readUInt32LE(at + 4), stream.readBigUInt64LE(at + 8), stream.subarray(at + 16, end)))
    at = end
  }
  return { events, length: at }
}

function parse(type: number, id: bigint, payload: Buffer): Event {
  const word = (at: number) => payload.readUInt32LE(at)
  const long = (at: number) => Number(payload.readBigUInt64LE(at))
  const expect = (length: boolean, zero = 0) => {
    if (!length || zero !== 0) throw new Error(`an event of type ${type} with the payload ${payload.toString('hex')}`)
  }
  switch (type) {
    case 16:
      expect(payload.length === 8)
      return { type: 'ready', id, version: word(0), features: word(4) }
    case 17:
      expect(payload.length === 8, word(4))
      return { type: 'started', id, pid: word(0) }
    case 18:
      expect(payload.length > 8)
      return { type: 'output', id, offset: long(0), bytes: payload.subarray(8) }
    case 19:
      expect(payload.length >= 72 && payload.length === 72 + 4 * Math.min(word(60), 16))
      return { type: 'ended', id, ...parseEnd(word, long), pids: parseWords(payload.subarray(72)) }
    case 20:
      expect(payload.length >= 16 && payload.length % 4 === 0, word(12))
      return {
        type: 'failed',
        id,
        step: STEPS[word(0)] ?? `step ${word(0)}`,
        errno: word(4),
        ...(word(8) !== 0 && { cause: word(8) }),
        ...(payload.length > 16 && { survivors: parseWords(payload.subarray(16)) }),
      }
    case 21:
      expect(payload.length >= 40)
      return { type: 'listed', id, ...parseListed(word, long), note: payload.toString('latin1', 40) }
    case 22:
      expect(payload.length === 0)
      return { type: 'listEnd', id }
    default:
      throw new Error(`an event of the unknown type ${type}`)
  }
}

function parseEnd(word: (at: number) => number, long: (at: number) => number): Omit<End, 'pids'> {
  return {
    exitCode: word(0),
    signal: word(4),
    userUs: long(8),
    systemUs: long(16),
    maxRssKb: long(24),
    cgroupCpuUs: long(32),
    cgroupMemoryPeak: long(40),
    durationUs: long(48),
    oom: word(56) & 0xffff,
    usedUp: word(56) >>> 16,
    survivors: word(60),
    oomKills: word(64),
    cause: word(68),
  }
}

function parseWords(words: Buffer): number[] {
  return Array.from({ length: words.length / 4 }, (_, i) => words.readUInt32LE(4 * i))
}

function parseListed(word: (at: number) => number, long: (at: number) => number): Omit<Listed, 'id' | 'note'> {
  return {
    kept: long(0),
    offset: long(8),
    ageMs: long(16),
    pid: word(24),
    state: word(28),
    cause: word(32),
    flags: word(36),
  }
}

export const words = (...values: number[]) => encodeWords(values)
export const longs = (...values: Long[]) => encodeLongs(values)

function encodeWords(values: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 * values.length)
  values.forEach((value, i) => {
    buffer.writeUInt32LE(value >>> 0, 4 * i)
  })
  return buffer
}

function encodeLongs(values: readonly Long[]): Buffer {
  const buffer = Buffer.alloc(8 * values.length)
  values.forEach((value, i) => {
    buffer.writeBigUInt64LE(BigInt(value), 8 * i)
  })
  return buffer
}
