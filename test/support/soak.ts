import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ServiceError } from '@grpc/grpc-js'
import type { TestAgent } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { answer } from '../../src/cli/connection.js'
import type { ExecutionResponse__Output } from '../../src/generated/flux/ExecutionResponse.js'
import type { ListExecutionsResponse__Output } from '../../src/generated/flux/operations/ListExecutionsResponse.js'
import { callSync, followed } from './live-calls.js'

const SCRIPT = `case $1 in
  ok) echo "$2" ;;
  code) echo "$2"; exit 3 ;;
  signal) kill -TERM $$ ;;
  long) exec sleep 60 ;;
  family) sleep 60 & sleep 60 & wait ;;
  noisy) while :; do echo "$2"; done ;;
esac`

/** The longest an execution is let live before it is cancelled or its caller hangs up. */
const PATIENCE_MS = 60

const STRIDE = 47

type Status = 'success' | 'failed' | 'cancelled'

/** One kind of execution: what starts it, follows it to its end, and checks what it came to. */
interface Kind {
  readonly name: string
  /** How often it is drawn, against the others. */
  readonly weight: number
  readonly run: (id: string) => Promise<void>
}

/** Many short executions of every kind: a third succeeds, a third fails, a third is cancelled; sync and async. */
export class Soak {
  /** What did not come out as it should, in words. */
  readonly surprises: string[] = []
  private readonly recorded = new Map<string, Status>()
  private readonly unrecorded: string[] = []
  private readonly counts = new Map<string, number>()
  private readonly calls: Calls
  private readonly deck: readonly Kind[]

  private constructor(private readonly agent: TestAgent) {
    this.calls = new Calls(agent.client)
    const cards = this.kinds().flatMap((kind) => Array.from({ length: kind.weight }, () => kind))
    // A stride that shares no factor with the number of cards meets each one once, neighbours far apart.
    this.deck = cards.map((_, index) => cards[(index * STRIDE) % cards.length] as Kind)
  }

  /** Deploys what the executions run; `env` is in each one's environment. */
  static async deploy(agent: TestAgent, env: Record<string, string>): Promise<Soak> {
    const soak = new Soak(agent)
    await soak.calls.script('soak', SCRIPT, { env })
    await soak.calls.script('brief', SCRIPT, { env, timeout_seconds: 1 })
    await soak.calls.script('broken', SCRIPT, { env })
    assert.equal((await soak.calls.register({ name: 'broken', handler: 'missing', env })).success, true)
    return soak
  }

  async run(executions: number, inFlight: number): Promise<void> {
    let begun = 0
    await inParallel(inFlight, async () => {
      while (begun < executions) {
        const kind = this.deck[begun++ % this.deck.length] as Kind
        this.counts.set(kind.name, (this.counts.get(kind.name) ?? 0) + 1)
        await kind.run(randomUUID()).catch((error: Error) => this.surprises.push(`${kind.name}: ${error.message}`))
      }
    })
  }

  /** How many there were of each kind. */
  summary(): string {
    return [...this.counts].map(([name, count]) => `${count} ${name}`).join(', ')
  }

  /** Ids in ListExecutions. */
  async listed(): Promise<string[]> {
    const { executions } = await answer<ListExecutionsResponse__Output>((options, done) =>
      this.agent.operations.listExecutions({}, options, done),
    )
    return executions.map(({ execution_id }) => execution_id)
  }

  /** Every execution whose record is not what it should be. */
  async misrecorded(atOnce: number): Promise<string[]> {
    const wrong: string[] = []
    const left = [...this.recorded, ...this.unrecorded.map((id) => [id, undefined] as const)]
    await inParallel(atOnce, async () => {
      for (let next = left.pop(); next; next = left.pop()) {
        const [id, expected] = next
        const { found, data } = await this.calls.get(id)
        const status = found ? JSON.parse(data.toString()).status : undefined
        if (status !== expected) wrong.push(`${id}: ${status} instead of ${expected}`)
      }
    })
    return wrong
  }

  private kinds(): Kind[] {
    return [
      { name: 'sync success', weight: 20, run: (id) => this.sync(id, 'soak', 'ok', '') },
      { name: 'async success', weight: 20, run: (id) => this.async(id, 'soak', 'ok', '') },
      { name: 'sync exit code', weight: 9, run: (id) => this.sync(id, 'soak', 'code', 'exit code 3') },
      { name: 'async exit code', weight: 9, run: (id) => this.async(id, 'soak', 'code', 'exit code 3') },
      { name: 'sync signal', weight: 5, run: (id) => this.sync(id, 'soak', 'signal', 'killed by SIGTERM') },
      { name: 'async signal', weight: 5, run: (id) => this.async(id, 'soak', 'signal', 'killed by SIGTERM') },
      { name: 'sync start failure', weight: 5, run: (id) => this.sync(id, 'broken', 'ok', 'does not exist (ENOENT)') },
      {
        name: 'async start failure',
        weight: 5,
        run: (id) => this.async(id, 'broken', 'ok', 'does not exist (ENOENT)'),
      },
      { name: 'async timeout', weight: 1, run: (id) => this.async(id, 'brief', 'family', 'timed out after 1s') },
      { name: 'sync timeout', weight: 1, run: (id) => this.sync(id, 'brief', 'noisy', 'timed out after 1s') },
      { name: 'cancel of a long one', weight: 13, run: (id) => this.cancelled(id, 'long') },
      { name: 'cancel of a family', weight: 10, run: (id) => this.cancelled(id, 'family') },
      { name: 'cancel of a noisy one', weight: 2, run: (id) => this.cancelled(id, 'noisy') },
      { name: 'hang-up', weight: 15, run: (id) => this.hungUp(id) },
    ]
  }

  private async sync(id: string, name: string, mode: string, error: string): Promise<void> {
    this.unrecorded.push(id)
    const given = await this.calls.execute({ function_name: name, args: [mode, id], execution_id: id })
    assertEnd(given.error, error)
    if (mode === 'ok' && error === '') assert.equal(given.output.toString(), `${id}\n`)
  }

  private async async(id: string, name: string, mode: string, error: string): Promise<void> {
    await this.calls.start(name, [mode, id], id)
    this.recorded.set(id, error === '' ? 'success' : 'failed')
    const [output, record] = await followed(this.agent.operations, id)
    assertEnd(record.error ?? '', error)
    if (mode === 'ok' && error === '') assert.equal(output.toString(), `${id}\n`)
  }

  /** Cancelled at a random moment, be it before the agent has answered that it is accepted. */
  private async cancelled(id: string, mode: string): Promise<void> {
    const started = this.calls.start('soak', [mode, id], id)
    await sleep(Math.random() * PATIENCE_MS)
    let { success } = await this.calls.cancel(id)
    await started
    // Where the cancel came before the start itself, there was nothing to cancel.
    if (!success) success = (await this.calls.cancel(id)).success
    assert.equal(success, true)
    this.recorded.set(id, 'cancelled')
  }

  private async hungUp(id: string): Promise<void> {
    const { outcome, hangUp } = callSync(this.agent.client, {
      function_name: 'soak',
      args: ['family'],
      execution_id: id,
    })
    this.unrecorded.push(id)
    await sleep(Math.random() * PATIENCE_MS)
    hangUp()
    const end: ExecutionResponse__Output | ServiceError = await outcome
    assert.ok(end instanceof Error, 'a caller that has hung up was answered')
  }
}

function assertEnd(error: string, expected: string): void {
  assert.ok(expected === '' ? error === '' : error.endsWith(expected), `${error} instead of ${expected}`)
}

async function inParallel(lanes: number, work: () => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: lanes }, work))
}
