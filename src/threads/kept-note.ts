import type { Limits } from '../os/platform.js'
import type { ExecutionRecord } from '../store/record.js'
import type { SpanIds } from './span-ids.js'

/**
 * What the next agent has to know of an execution that outlives this one. A launcher keeps it as it is: a later version
 * of the agent reads it, so fields may be added, but none changes its meaning.
 */
export interface KeptNote {
  readonly version: 1
  /** The record of its begin. */
  readonly record: ExecutionRecord
  /** See ExecuteTask. */
  readonly idNumber?: number | undefined
  readonly versionDir: string
  readonly handler: string
  readonly timeoutSeconds: number
  readonly limits: Limits
  readonly maxOutputBytes: number
  /** Absent: nobody records its spans. */
  readonly spans?: SpanIds | undefined
}

export function encodeNote(note: KeptNote): Uint8Array {
  return Buffer.from(JSON.stringify(note))
}

/** Undefined where another version of the agent has written what this one does not understand. */
export function decodeNote(bytes: Uint8Array): KeptNote | undefined {
  try {
    const note = JSON.parse(Buffer.from(bytes).toString()) as KeptNote
    return note.version === 1 ? note : undefined
  } catch {
    return undefined
  }
}
