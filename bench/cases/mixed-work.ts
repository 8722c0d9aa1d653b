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
/** Shares no factor with the number of cards: it meets each one once, neighbours far apart. */
const STRIDE = 29

/** An execution and what it comes to. */
interface Task {
  readonly name: string
  readonly args: string[]
  /** What its error ends in; empty where it succeeds. */
  readonly error: string
  readonly output: Buffer
}

const line = (id: string) => Buffer.from(`${id}\n`)
const succeeds = (id: string): Task => ({ name: MIXED, args: ['ok', id], error: '', output: line(id) })
const fails = (id: string): Task => ({ name: MIXED, args: ['code', id], error: 'exit code 3', output: line(id) })
const PRINTS: Task = { name: PRINTER.name, args: [String(PRINTED.length)], error: '', output: PRINTED }
const HANGS: Task = { name: BRIEF, args: [], error: 'timed out after 1s', output: NOTHING }

/** One kind of work; throws where it does not come to what it should. */
interface Kind {
  readonly name: string
  /** How often it is drawn, against the others. */
  readonly weight: number
  readonly run: (id: string) => Promise<void>
}

/**
 * Short executions of all kinds, by the contract's calls alone: they succeed, fail, print much, run out of time and are
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

  /** Deploys what is executed; `env` is in the environment of every process. */
  static async deploy(calls: Calls, env: Record<string, string>): Promise<MixedWork> {
    const work = new MixedWork(calls, env)
    await work.deployNext()
    await calls.script(BRIEF, 'sleep 60 & sleep 60', { env, timeout_seconds: 1 })
    await deployNative(calls, PRINTER, { env })
    return work
  }

  /** How many pieces of work have been begun. */
  get begun(): number {
    return this.drawn
  }

  /** Rejects with the first piece that went wrong; else ends when the time is over and all that was begun has ended. */
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

  /** Another version each time, for what runs of the last one to go on. */
  private async deployNext(): Promise<void> {
    await this.calls.script(MIXED, `${SCRIPT}\n# version ${this.versions++}`, { env: this.env })
  }
}

function checkEnd(error: string, expected: string): void {
  assert.ok(expected === '' ? error === '' : error.endsWith(expected), `"${error}" instead of "${expected}"`)
}
