import type { ExecutionRecord } from '../../src/store/record.js'
import type { StoreWrite } from '../../src/store/store.js'

export function running(id: string, agentId = 'agent-1'): ExecutionRecord {
  return {
    execution_id: id,
    agent_id: agentId,
    function_name: 'hello',
    status: 'running',
    started_at: '2026-01-02T03:04:05.678Z',
  }
}

export function ended(id: string, agentId = 'agent-1'): ExecutionRecord {
  return { ...running(id, agentId), status: 'success', duration_ms: 12, status_at: '2026-01-02T03:04:06.000Z' }
}

export function output(id: string, offset: number, bytes: Buffer | string): StoreWrite {
  return { kind: 'output', id, offset, bytes: Buffer.from(bytes as string) }
}

/** Bytes of every value, different at every offset for a long way. */
export function noise(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = 0x2545f491
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}
