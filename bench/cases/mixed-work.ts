import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import type { Calls } from '../../harness/calls.js'
import { deployNative, PRINTER } from '../measure/native-function.js'
import { printedBytes } from '../measure/printed.js'

const MIXED = 'bench-mixed'
const BRIEF = 'bench-brief'
const SCRIPT = `case $1 in
  ok) echo "$2" ;;
  code) echo "$2"; exit 3 ;;
  family) sleep 60 & sleep 60 & wait ;;
esac`
const PRINTED = printedBytes(1_000_000)
const NOTHING = Buffer.alloc(0)
/** Coprime to the number of cards: visits each card once, neighbours far apart. */
const STRIDE = 29

/** An execution and its expected end. */
interface Task {
  readonly name: string
  readonly args: string[]
  /** The end of its error; empty where it succeeds. */
  readonly error: string
  readonly output: Buffer
}

const line = (id: string) => Buffer.from(`${id}\n`)
const succeeds = (id: string): Task => ({ name: MIXED, args: ['ok', id], error: '', output: line(id) })
const fails = (id: string): Task => ({ name: MIXED, args: ['code', id], error: 'exit code 3', output: line(id) })
const PRINTS: Task = { name: PRINTER.name, args: [String(PRINTED.length)], error: '', output: PRINTED }
const HANGS: Task = { name: BRIEF, args: [], error: 'timed out after 1s', output: NOTHING }

/** One kind of work; throws on an unexpected result. */
interface Kind {
  readonly name: string
  /** Its weight among the others. */
  readonly weight: number
  readonly run: (id: string) => Promise<void>
}

/**
 * Short executions of all kinds, by the contract's calls only: they succeed, fail, print much, time out and are
 * cancelled, while new versions of their function are deployed.
 */
export class MixedWork {
  private readonly deck: readonly Kind[]
  private drawn = 0
  private versions = 0

  private constructor(
    private readonly calls: Calls,
    private readonly env: Record<string, string>,
  ) {
    const cards = this.kinds().flatMap((kind) => Array.from({ length: kind.weight }, () => kind))
    this.deck = cards.map((_, i) => cards[(i * STRIDE) % cards.length] as Kind)
  }

  /** Deploys the functions; `env` is in every process's environment. */
  static async deploy(calls: Calls, env: Record<string, string>): Promise<MixedWork> {
    const work = new MixedWork(calls, env)
    await work.deployNext()
    await calls.script(BRIEF, 'sleep 60 & sleep 60', { env, timeout_seconds: 1 })
    await deployNative(calls, PRINTER, { env })
    return work
  }

  /** Pieces of work begun. */
  get begun(): number {
    return this.drawn
  }

  /** Resolves when the time is up and everything begun has ended; rejects with the first failure. */
  async run(lanes: number, durationMs: number): Promise<void> {
    const end = performance.now() + durationMs
    const lane = async () => {
      while (performance.now() < end) {
        const { name, run } = this.deck[this.drawn++ % this.deck.length] as Kind
        await run(randomUUID()).catch((cause: Error) => {
          throw new Error(`${name}: ${cause.message}`, { cause })
        })
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
  }

  private kinds(): Kind[] {
    return [
      { name: 'sync success', weight: 20, run: (id) => this.sync(id, succeeds(id)) },
      { name: 'async success', weight: 20, run: (id) => this.async(id, succeeds(id)) },
      { name: 'sync exit code', weight: 10, run: (id) => this.sync(id, fails(id)) },
      { name: 'async exit code', weight: 10, run: (id) => this.async(id, fails(id)) },
      { name: 'sync 1 MB', weight: 8, run: (id) => this.sync(id, PRINTS) },
      { name: 'async 1 MB', weight: 6, run: (id) => this.async(id, PRINTS) },
      { name: 'sync timeout', weight: 2, run: (id) => this.sync(id, HANGS) },
      { name: 'async timeout', weight: 2, run: (id) => this.async(id, HANGS) },
      { name: 'cancel', weight: 20, run: (id) => this.cancelled(id) },
      { name: 'deploy', weight: 2, run: () => this.deployNext() },
    ]
  }

  private async sync(id: string, { name, args, error, output }: Task): Promise<void> {
    const answer = await this.calls.execute({ function_name: name, args, execution_id: id })
    checkEnd(answer.error, error)
    assert.ok(answer.output.equals(output), `${id} has answered ${answer.output.length} bytes of other output`)
  }

  private async async(id: string, { name, args, error, output }: Task): Promise<void> {
    await this.calls.start(name, args, id)
    const record = await this.calls.ended(id)
    checkEnd(record.error ?? '', error)
    assert.equal(record.status, error === '' ? 'success' : 'failed')
    assert.ok(Buffer.from(record.output ?? '').equals(output), `${id} has recorded other output`)
  }

  private async cancelled(id: string): Promise<void> {
    await this.calls.start(MIXED, ['family'], id)
    const { success, message } = await this.calls.cancel(id)
    assert.equal(success, true, message)
    assert.equal((await this.calls.ended(id)).status, 'cancelled')
  }

  /** A new version each time, while executions of the last one go on. */
  private async deployNext(): Promise<void> {
    await this.calls.script(MIXED, `${SCRIPT}\n# version ${this.versions++}`, { env: this.env })
  }
}

function checkEnd(error: string, expected: string): void {
  assert.ok(expected === '' ? error === '' : error.endsWith(expected), `"${error}" instead of "${expected}"`)
}
