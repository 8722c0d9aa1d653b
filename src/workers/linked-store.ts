import { MessageChannel, parentPort } from 'node:worker_threads'
import type { Gap } from '../store/gaps.js'
import { openStore, type StoreLocation } from '../store/open.js'
import type { ExecutionRecord } from '../store/record.js'
import { parseRedisAddress } from '../store/redis/address.js'
import type { NodesListener, StoreWrite } from '../store/store.js'
import type { StoreLink, StoreWanted, WorkerStore } from '../threads/store-calls.js'
import { SharedStore } from './shared-store.js'
import { serveStore } from './store-server.js'

/**
 * This worker's store. Redis is asked through as few connections as the main thread wants: one of this worker's own, or
 * another worker's. Its calls wait until it is opened.
 */
export function linkedStore(location: StoreLocation): LinkedStore {
  if (location.kind === 'embedded') return new LinkedStore(openStore(location))
  const { display } = parseRedisAddress(location.address)
  const { port1, port2 } = new MessageChannel()
  let opens: ((way: WorkerStore | Promise<WorkerStore>) => void) | undefined
  const first = new Promise<WorkerStore>((resolve) => {
    opens = resolve
  })
  const linked = new LinkedStore(first)
  port1.on('message', (link: StoreLink) => {
    if (link.kind === 'serve') {
      serveStore(linked, link.port)
      return
    }
    const way = link.kind === 'connect' ? openStore(location) : new SharedStore(display, link.port)
    if (opens) opens(way)
    else linked.relink(way)
    opens = undefined
  })
  port1.unref()
  parentPort?.postMessage({ kind: 'store wanted', port: port2 } satisfies StoreWanted, [port2])
  return linked
}

/** A store whose way may change. */
export class LinkedStore implements WorkerStore {
  #next: Promise<WorkerStore>
  #now: WorkerStore | undefined
  readonly #listeners: NodesListener[] = []

  constructor(way: Promise<WorkerStore>) {
    this.#next = this.#open(way)
  }

  relink(way: WorkerStore | Promise<WorkerStore>): void {
    void this.#now?.close()
    this.#next = this.#open(way)
  }

  /** Rejects as openStore. */
  async opened(): Promise<void> {
    await this.#next
  }

  get address(): string {
    return this.#now?.address ?? ''
  }

  nodeOf(id: string): string {
    return this.#now?.nodeOf(id) ?? ''
  }

  watchNodes(listener: NodesListener): void {
    this.#listeners.push(listener)
    this.#now?.watchNodes(listener)
  }

  async begin(record: ExecutionRecord): Promise<boolean> {
    return (await this.#next).begin(record)
  }

  async write(batch: readonly StoreWrite[]): Promise<ReadonlySet<string>> {
    return (await this.#next).write(batch)
  }

  async record(id: string): Promise<ExecutionRecord | undefined> {
    return (await this.#next).record(id)
  }

  async output(id: string, from: number, to: number): Promise<Buffer> {
    return (await this.#next).output(id, from, to)
  }

  async gaps(id: string): Promise<Gap[]> {
    return (await this.#next).gaps(id)
  }

  async outputLength(id: string): Promise<number> {
    return (await this.#next).outputLength(id)
  }

  async renewLeases(ids: readonly string[]): Promise<void> {
    return (await this.#next).renewLeases(ids)
  }

  async close(): Promise<void> {
    await (await this.#next).close()
  }

  async #open(way: WorkerStore | Promise<WorkerStore>): Promise<WorkerStore> {
    const store = await way
    this.#now = store
    for (const listener of this.#listeners) store.watchNodes(listener)
    return store
  }
}
