import { move, transferableSymbol, valueSymbol } from 'piscina'
import type { ExecutionRecord } from '../../store/record.js'
import { StoreUnavailable } from '../../store/store.js'
import type { FromStore, OutputPart, ReadOutputTask, ReadRecordTask } from '../../threads/messages.js'
import { store } from '../thread.js'
import { Lost } from './output.js'
import { recordJson } from './record-json.js'

const RANGE_BYTES = 262_144

/** The JSON record, with its output, of an execution that no worker supervises any more. */
export async function readRecord({ id }: ReadRecordTask): Promise<FromStore<Uint8Array>> {
  const answer = await fromStore(id, async (record) => {
    const length = Math.max(await store.outputLength(id), record.output_bytes ?? 0)
    const output = { length, read: async (offset: number) => readStored(id, offset, length) }
    return new Uint8Array(await recordJson(record, output))
  })
  return answer.kind === 'found' ? handedOver(answer, answer.value) : answer
}

/** A range of such an execution's output, or its record where no byte is left. */
export function readOutput({ id, offset }: ReadOutputTask): Promise<FromStore<OutputPart>> {
  return fromStore(id, async (record) => {
    const read = await readStored(id, offset, record.output_bytes ?? 0)
    if (read instanceof Lost) return { kind: 'lost', bytes: read.bytes }
    const data = new Uint8Array(read)
    return data.length > 0 ? { kind: 'bytes', offset, data } : { kind: 'end', record }
  })
}

/** A range from the offset on; empty at the end. Bytes missing before `length` count as lost. */
async function readStored(id: string, offset: number, length: number): Promise<Buffer | Lost> {
  const bytes = await store.output(id, offset, offset + RANGE_BYTES)
  if (bytes.length > 0) return bytes
  const gap = (await store.gaps(id)).find(({ from, to }) => from <= offset && offset < to)
  const end = gap?.to ?? length
  return end > offset ? new Lost(end - offset) : bytes
}

async function fromStore<T>(id: string, read: (record: ExecutionRecord) => Promise<T>): Promise<FromStore<T>> {
  try {
    const record = await store.record(id)
    return record ? { kind: 'found', value: await read(record) } : { kind: 'absent' }
  } catch (error) {
    // Answered as a value, because an error's class does not cross threads.
    if (error instanceof StoreUnavailable) return { kind: 'unavailable', message: error.message }
    throw error
  }
}

/** Transfers the bytes to the calling thread: copying megabytes would block it. */
function handedOver<T extends object>(answer: T, { buffer }: Uint8Array): T {
  return move({ [transferableSymbol]: buffer, [valueSymbol]: answer }) as unknown as T
}
