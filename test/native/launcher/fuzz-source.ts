import {
  attachFrame,
  creditFrame,
  forgetFrame,
  frame,
  killFrame,
  leaveFrame,
  listFrame,
  type Start,
  startFrame,
  startPayload,
  Type,
} from './frames.js'
import { MARK_ENTRY } from './marks.js'
import { isRoot, NOBODY } from './variants.js'

/** What a fuzzed start may run; nothing else is on its PATH, and a mutated name is that of no file. */
const SCRIPTS = [
  'exit 0',
  'echo x >$TMPDIR/x',
  'exit 9',
  'kill -9 $$',
  'sleep 60',
  'setsid sleep 60 & exit',
  'setsid sleep 60 & sleep 60',
]
const OUTPUTS = ['head -c 200000 /dev/zero', 'echo x; echo y >&2; sleep 60', 'cat /dev/zero', 'exec >&-; sleep 60']
const NUMBERS = [0, 1, 2, 3, 7, 8, 15, 16, 17, 64, 255, 65_535, 2 ** 23 - 1, 2 ** 23, 2 ** 23 + 1, 2 ** 31, 2 ** 32 - 1]
const LONGS = [0n, 1n, 65_536n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n]

/** Requests, most of them valid, from a seed alone. */
export class FuzzSource {
  frames = 0
  private state: number
  private readonly ids: bigint[] = []
  private readonly kept = new Set<bigint>()
  /** Whether frames are mutated; otherwise nearly all of them follow the protocol. */
  private readonly mutates: boolean

  constructor(seed: number) {
    this.state = seed >>> 0
    this.mutates = this.chance(0.5)
  }

  chance(probability: number): boolean {
    return this.random() < probability
  }

  /** What a connection begins with that is not the first: some of what is kept is attached. */
  attaches(): Buffer {
    const some = [...this.kept].filter(() => this.chance(0.5))
    return Buffer.concat(some.map((id) => attachFrame(id, this.mutates ? this.below(3) : 0)))
  }

  /** Frames of one connection, cut and joined anywhere. */
  *pieces(): Generator<Buffer> {
    const frames = Array.from({ length: 1 + this.below(60) }, () => this.frame())
    this.frames += frames.length
    let rest = Buffer.concat(frames)
    if (this.chance(0.2)) rest = rest.subarray(0, this.below(rest.length + 1))
    while (rest.length > 0) {
      const length = this.chance(0.3) ? 1 + this.below(20) : 1 + this.below(rest.length)
      yield rest.subarray(0, length)
      rest = rest.subarray(length)
    }
  }

  private frame(): Buffer {
    const { mutates } = this
    const kind = this.random()
    const [id, known] = [BigInt(this.ids.length + 1), this.pick([...this.ids, 12_345n])]
    if (kind < 0.55) {
      // The id of one that may live still is none: the launcher leaves.
      const used = mutates && this.chance(0.02) ? known : id
      this.ids.push(used)
      if (mutates && this.chance(0.3)) return frame(Type.start, used, this.mutatedPayload())
      const start = this.start()
      if (start.kept) this.kept.add(used)
      return startFrame(used, start)
    }
    if (mutates && kind > 0.99) return this.garbage(known)
    if (kind < 0.72) return killFrame(known, this.pick(NUMBERS))
    if (kind < 0.85) return creditFrame(known, this.credit(known))
    if (kind < 0.87 && mutates) return attachFrame(known, this.below(3))
    if (kind < 0.9 && mutates) return forgetFrame(known)
    if (kind < 0.905) return leaveFrame()
    return listFrame(known)
  }

  /** Of one that is kept, more than was told breaks the protocol. */
  private credit(id: bigint): bigint {
    if (this.kept.has(id)) return this.mutates ? BigInt(this.below(2)) : 0n
    return this.pick([...LONGS, BigInt(this.below(300_000))])
  }

  private start(): Start {
    const lines = this.pick(this.chance(0.5) ? SCRIPTS : OUTPUTS)
    const argv = this.chance(0.3) ? ['true'] : ['sh', '-c', lines, ...Array(this.below(20)).fill('argument')]
    return {
      file: this.chance(0.05) ? '/nonexistent' : argv[0] === 'true' ? '/bin/true' : '/bin/sh',
      folder: this.chance(0.05) ? '/nonexistent' : '/',
      argv,
      env: [
        'PATH=/usr/bin:/bin',
        MARK_ENTRY,
        'TMPDIR=/tmp',
        ...Array(this.below(5)).fill(`X=${'x'.repeat(this.below(5_000))}`),
      ],
      credit: this.pick(LONGS),
      flags: this.pick([0, 2, 2, 8, 16, 18, 64]),
      kept: this.chance(0.4),
      timeoutMs: this.pick([0, 0, 0, this.below(300), ...LONGS]),
      note: 'n'.repeat(this.pick([0, 0, 5, this.below(10_000)])),
      umask: this.below(0o1000),
      ...(this.chance(0.2) && { oomScore: this.below(1_100) }),
      ...(this.chance(0.1) && { pidsMax: 1 + this.below(50), memoryMax: 2 ** 30 }),
      ...(isRoot && this.chance(0.2) && { user: { ...NOBODY, groups: Array(this.below(10)).fill(64_990) } }),
      rlimits: Array.from({ length: this.below(4) }, () => [this.pick([4, 4, 7, 99]), 64, 64] as const),
    }
  }

  /** What stays of it is the name of the program. */
  private mutatedPayload(): Buffer {
    const payload = startPayload({ ...this.start(), file: '/nonexistent' })
    switch (this.below(5)) {
      case 0:
        return payload.subarray(0, this.below(payload.length))
      case 1:
        return Buffer.concat([payload, Buffer.alloc(this.below(1_000), this.below(256))])
      case 2:
        // One of the numbers of the fixed part, counts more often than others.
        payload.writeUInt32LE(this.pick(NUMBERS) >>> 0, this.pick([52, 56, 60, 64, 68, 4 * this.below(18)]))
        return payload
      case 3:
        return Buffer.from(payload.map((byte) => (byte === 0 && this.chance(0.3) ? 120 : byte)))
      default:
        return Buffer.alloc(this.below(300), this.below(256))
    }
  }

  /** What is no frame, or one that claims to be longer than it is and swallows the next ones. */
  private garbage(id: bigint): Buffer {
    if (this.chance(0.5))
      return frame(this.pick([...NUMBERS, ...Object.values(Type)]), id, Buffer.alloc(this.below(20)))
    const claimed = frame(Type.start, id)
    claimed.writeUInt32LE(this.pick(NUMBERS) >>> 0, 0)
    return claimed
  }

  private pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)] as T
  }

  private below(limit: number): number {
    return Math.floor(this.random() * limit)
  }

  /** mulberry32 */
  private random(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0
    let mixed = this.state
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
