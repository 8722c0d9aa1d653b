import type { MessagePort } from 'node:worker_threads'
import type { SlotRange, Store, StoreProblem, StoreWrite } from '../store/store.js'

/** What a worker needs of the store. */
export type WorkerStore = Pick<
  Store,
  | 'address'
  | 'nodeOf'
  | 'watchNodes'
  | 'begin'
  | 'write'
  | 'record'
  | 'output'
  | 'gaps'
  | 'outputLength'
  | 'renewLeases'
  | 'close'
>

/** A worker's very first message: it wants a way to the store. */
export interface StoreWanted {
  readonly kind: 'store wanted'
  /** Carries StoreLink from the main thread. */
  readonly port: MessagePort
}

/** A worker's way to the store, which may change while it lives. */
export type StoreLink =
  /** Connect to it yourself. */
  | { readonly kind: 'connect' }
  /** Ask the worker at the other end of this port: it carries arrays of StoreCall there and of StoreAnswer back. */
  | { readonly kind: 'share'; readonly port: MessagePort }
  /** Be asked at this port. */
  | { readonly kind: 'serve'; readonly port: MessagePort }

type Asked = 'begin' | 'record' | 'output' | 'gaps' | 'outputLength' | 'renewLeases'

/** `number` identifies a call on its port. */
export type StoreCall =
  | {
      readonly [M in Asked]: { readonly number: number; readonly method: M; readonly args: Parameters<Store[M]> }
    }[Asked]
  | { readonly number: number; readonly method: 'write'; readonly batch: PackedBatch }

export type StoreAnswer =
  | { readonly kind: 'answer'; readonly number: number; readonly value: unknown }
  /** As StoreUnavailable. */
  | { readonly kind: 'unavailable'; readonly number: number; readonly why: StoreProblem }
  | { readonly kind: 'nodes'; readonly nodes: readonly SlotRange[] }

/** A batch whose output is in one piece of memory, which is handed on without another copy. */
export interface PackedBatch {
  /** Output writes without their bytes, but for their length. */
  readonly writes: readonly PackedWrite[]
  readonly bytes: Uint8Array<ArrayBuffer>
}

type PackedWrite =
  | Exclude<StoreWrite, { kind: 'output' }>
  | { readonly kind: 'output'; readonly id: string; readonly offset: number; readonly length: number }

/** Copies the output, as the sender may have to send it again. */
export function packed(batch: readonly StoreWrite[]): PackedBatch {
  const outputs = batch.flatMap((write) => (write.kind === 'output' ? write.bytes : []))
  const bytes = new Uint8Array(outputs.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const output of outputs) {
    bytes.set(output, at)
    at += output.length
  }
  const writes = batch.map((write): PackedWrite => {
    if (write.kind !== 'output') return write
    const { kind, id, offset } = write
    return { kind, id, offset, length: write.bytes.length }
  })
  return { writes, bytes }
}

export function unpacked({ writes, bytes }: PackedBatch): StoreWrite[] {
  let at = 0
  return writes.map((write): StoreWrite => {
    if (write.kind !== 'output') return write
    const { kind, id, offset, length } = write
    const own = Buffer.from(bytes.buffer, at, length)
    at += length
    return { kind, id, offset, bytes: own }
  })
}
