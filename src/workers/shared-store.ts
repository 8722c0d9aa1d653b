import type { MessagePort } from 'node:worker_threads'
import type { Gap } from '../store/gaps.js'
import type { ExecutionRecord } from '../store/record.js'
import { nodeIn } from '../store/redis/keys.js'
import { type SlotRange, StoreUnavailable, type StoreWrite } from '../store/store.js'
import { Outbox } from '../threads/outbox.js'
import { packed, type StoreAnswer, type StoreCall, type WorkerStore } from '../threads/store-calls.js'

type Numbered<Call> = Call extends StoreCall ? Omit<Call, 'number'> : never

interface Waiting {
  readonly resolve: (value: never) => void
  readonly reject: (error: Error) => void
}

/** The store through the connection of another worker. */
export class SharedStore implements WorkerStore {
  readonly #outbox: Outbox<StoreCall>
  readonly #waiting = new Map<number, Waiting>()
  #lastNumber = 0
  #nodes: readonly SlotRange[] = []
  #ended = false

  constructor(
    readonly address: string,
    private readonly port: MessagePort,
  ) {
    this.#outbox = new Outbox(port)
    port.on('message', (answers: readonly StoreAnswer[]) => {
      for (const answer of answers) this.#receive(answer)
    })
    port.once('close', () => this.#end())
    port.unref()
  }

  nodeOf(id: string): string {
    return nodeIn(this.#nodes, id)
  }

  /** Nobody shares what is shared already. */
  watchNodes(): void {}

  begin(record: ExecutionRecord): Promise<boolean> {
    return this.#ask({ method: 'begin', args: [record] })
  }

  write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    const sent = packed(batch)
    return this.#ask({ method: 'write', batch: sent }, [sent.bytes.buffer])
  }

  record(id: string): Promise<ExecutionRecord | undefined> {
    return this.#ask({ method: 'record', args: [id] })
  }

  async output(id: string, from: number, to: number): Promise<Buffer> {
    const { buffer } = await this.#ask<Uint8Array>({ method: 'output', args: [id, from, to] })
    return Buffer.from(buffer)
  }

  gaps(id: string): Promise<Gap[]> {
    return this.#ask({ method: 'gaps', args: [id] })
  }

  outputLength(id: string): Promise<number> {
    return this.#ask({ method: 'outputLength', args: [id] })
  }

  renewLeases(ids: readonly string[]): Promise<void> {
    return this.#ask({ method: 'renewLeases', args: [ids] })
  }

  async close(): Promise<void> {
    this.port.close()
  }

  #ask<T>(call: Numbered<StoreCall>, transfer?: readonly ArrayBuffer[]): Promise<T> {
    if (this.#ended) return Promise.reject(gone())
    const number = ++this.#lastNumber
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject })
      this.#outbox.send({ ...call, number } as StoreCall, transfer)
    })
  }

  #receive(answer: StoreAnswer): void {
    if (answer.kind === 'nodes') {
      this.#nodes = answer.nodes
      return
    }
    const waiting = this.#waiting.get(answer.number)
    this.#waiting.delete(answer.number)
    if (answer.kind === 'answer') waiting?.resolve(answer.value as never)
    else waiting?.reject(new StoreUnavailable(answer.why.problem, answer.why))
  }

  #end(): void {
    this.#ended = true
    for (const { reject } of this.#waiting.values()) reject(gone())
    this.#waiting.clear()
  }
}

const gone = () => new StoreUnavailable('the worker thread that had the connection to the store has ended')
