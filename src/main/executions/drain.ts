import { setTimeout as sleep } from 'node:timers/promises'
import type { Executions } from './executions.js'

/** How long a stop waits for the store to take the last records before they are kept on disk for the next start. */
const SETTLE_LIMIT_MS = 3_000

/**
 * Has no new executions admitted, kills the queued ones at once, and those that run after `limitMs`, or when `hurried`
 * resolves. Resolves when all have ended and either are settled or have had SETTLE_LIMIT_MS for it.
 */
export async function drain(executions: Executions, limitMs: number, hurried: Promise<void>): Promise<void> {
  executions.close()
  const left = executions.list()
  for (const execution of left) if (execution.isQueued) void execution.kill('stopped')
  const ended = Promise.all(left.map((execution) => execution.ended))
  await Promise.race([ended, hurried, sleep(limitMs, undefined, { ref: false })])
  await Promise.all(executions.list().map((execution) => execution.kill('stopped')))
  await Promise.race([executions.settled(), hurried, sleep(SETTLE_LIMIT_MS, undefined, { ref: false })])
}
