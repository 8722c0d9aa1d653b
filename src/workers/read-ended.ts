import { move, transferableSymbol, valueSymbol } from 'piscina'
import type { ExecutionRecord } from '../store/record.js'
import { StoreUnavailable } from '../store/store.js'
import type { FromStore, OutputPart, ReadOutputTask, ReadRecordTask } from './messages.js'
import { recordJson } from './record-json.js'
import { store } from './thread.js'

const STRETCH_BYTES = 262_144

/** The JSON record of an execution that no thread supervises any more, with its output. */
export async function readRecord({ id }: ReadRecordTask): Promise<FromStore<Uint8Array>> {
  const answer = await fromStore(id, async (record) => {
    const length = await store.outputLength(id)
    const output = { length, read: (offset: number) => store.output(id, offset, offset + STRETCH_BYTES) }
    return new Uint8Array(await recordJson(record, output))
  })
  return answer.kind === 'found' ? handedOver(answer, answer.value) : answer
}

/** A stretch of such an execution's output, or its record where no byte is left. */
export function readOutput({ id, offset }: ReadOutputTask): Promise<FromStore<OutputPart>> {
  return fromStore(id, async (record) => {
    const data = new Uint8Array(await store.output(id, offset, offset + STRETCH_BYTES))
    return data.length > 0 ? { kind: 'bytes', offset, data } : { kind: 'end', record }
  })
}

async function fromStore<T>(id: string, read: (record: ExecutionRecord) => Promise<T>): Promise<FromStore<T>> {
  try {
    const record = await store.record(id)
    return record ? { kind: 'found', value: await read(record) } : { kind: 'absent' }
  } catch (error) {
    // Told as a value: an error's class does not cross threads.
    if (error instanceof StoreUnavailable) return { kind: 'unavailable', message: error.message }
    throw error
  }
}

/** Has the pool hand the bytes over to the thread that asks: a copy of many megabytes would hold that up. */
function handedOver<T extends object>(answer: T, { buffer }: Uint8Array): T {
  return move({ [transferableSymbol]: buffer, [valueSymbol]: answer }) as unknown as T
}
