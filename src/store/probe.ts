import { randomUUID } from 'node:crypto'
import type { FunctionSettings } from './function.js'
import type { ExecutionRecord } from './record.js'
import { type Store, StoreUnavailable } from './store.js'

/** An execution and a function that try out the store under names that no real one has. */
export interface Probe {
  readonly id: string
  readonly agentId: string
  readonly settings: FunctionSettings
}

export function newProbe(): Probe {
  const id = `flux-agent-probe-${randomUUID()}`
  const settings: FunctionSettings = {
    name: id,
    handler: 'probe',
    cpuMillicores: 0,
    memoryMb: 0,
    timeoutSeconds: 0,
    env: {},
    maxConcurrency: 1,
    maxConcurrencyBehavior: 'exit',
  }
  return { id, agentId: id, settings }
}

/**
 * Does with the probe everything that an agent does with an execution. The caller deletes what is left. Rejects with
 * StoreUnavailable.
 */
export async function exercise(store: Store, { id, agentId }: Probe): Promise<void> {
  const record: ExecutionRecord = {
    execution_id: id,
    agent_id: agentId,
    function_name: id,
    status: 'running',
    started_at: new Date().toISOString(),
  }
  const written = Buffer.from('probe')
  await store.refuse([{ ...record, status: 'failed', refused: true }])
  await store.begin(record)
  // Repeating `begin` reads the record; output with a gap tracks missing bytes.
  await store.begin(record)
  await store.write([{ kind: 'output', id, offset: written.length, bytes: written }])
  await store.write([{ kind: 'output', id, offset: 0, bytes: written }])
  await store.renewLeases([id])
  const [found, output, length] = [
    await store.record(id),
    await store.output(id, 0, written.length),
    await store.outputLength(id),
  ]
  await store.gaps(id)
  if (found?.status !== 'running' || !output.equals(written) || length !== 2 * written.length) {
    throw new StoreUnavailable(`${store.address}: what was just written is not what is read`, {
      fix: 'give an address that does not spread reads over replicas, and a store that evicts nothing',
    })
  }
  await store.endLeftovers(agentId, 'probe')
}
