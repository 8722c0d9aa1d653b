import { setTimeout as sleep } from 'node:timers/promises'
import type { Executions } from './executions.js'

/** How long a stop waits for the store to take the last records; after that they stay on disk for the next start. */
const SETTLE_LIMIT_MS = 3_000
/** How long a handover waits for executions that have been accepted to start. */
const START_LIMIT_MS = 3_000
const LOOK_MS = 5

/**
 * Stops all executions: admits no new ones, kills queued ones at once, and running ones after `limitMs` or once
 * `hurried` resolves. Resolves when all have ended, and are settled or have had SETTLE_LIMIT_MS for that.
 */
export async function drain(executions: Executions, limitMs: number, hurried: Promise<void>): Promise<void> {
  executions.refuseNew()
  const left = executions.list()
  for (const execution of left) if (execution.isQueued) void execution.kill('stopped')
  const ended = Promise.all(left.map((execution) => execution.ended))
  await Promise.race([ended, hurried, sleep(limitMs, undefined, { ref: false })])
  await Promise.all(executions.list().map((execution) => execution.kill('stopped')))
  await Promise.race([executions.settledAll(), hurried, sleep(SETTLE_LIMIT_MS, undefined, { ref: false })])
}

/**
 * Leaves async executions to the launchers. Admits no new ones, and kills those that cannot outlive the agent: sync ones,
 * and those that wait for a slot. Answers how many are left.
 */
export async function handOver(executions: Executions): Promise<number> {
  executions.refuseNew()
  for (const execution of executions.list()) {
    if (execution.isQueued || !execution.async) void execution.kill('stopped')
  }
  const deadline = performance.now() + START_LIMIT_MS
  while (executions.list().some(({ pid }) => pid === undefined) && performance.now() < deadline) await sleep(LOOK_MS)
  executions.handOver()
  return executions.list().length
}
