import type { StoreWrite } from './store.js'

interface Run {
  readonly kind: 'run'
  readonly id: string
  readonly offset: number
  end: number
  readonly parts: Buffer[]
}

/**
 * Joins adjacent output of one execution into one write. The order of each execution's writes stays; joined output
 * moves up to its first part.
 */
export function mergeOutputs(batch: readonly StoreWrite[]): StoreWrite[] {
  const runs = new Map<string, Run>()
  const merged: (Exclude<StoreWrite, { kind: 'output' }> | Run)[] = []
  for (const write of batch) {
    if (write.kind !== 'output') {
      runs.delete(write.record.execution_id)
      merged.push(write)
      continue
    }
    const run = runs.get(write.id)
    if (run?.end === write.offset) {
      run.parts.push(write.bytes)
      run.end += write.bytes.length
    } else {
      const { id, offset, bytes } = write
      const begun: Run = { kind: 'run', id, offset, end: offset + bytes.length, parts: [bytes] }
      runs.set(id, begun)
      merged.push(begun)
    }
  }
  return merged.map((item) =>
    item.kind === 'run' ? { kind: 'output', id: item.id, offset: item.offset, bytes: joined(item.parts) } : item,
  )
}

function joined(parts: readonly Buffer[]): Buffer {
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts)
}
