import { setTimeout as sleep } from 'node:timers/promises'
import { platform } from '../os/index.js'
import { CommandFailure } from './failure.js'

const POLL_MS = 50

/** Resolves once an agent has ended. Rejects with CommandFailure when the time is over. */
export async function awaitEnd(pid: number, seconds: number): Promise<void> {
  const deadline = performance.now() + seconds * 1000
  while (platform.processStartTime(pid) !== undefined) {
    if (performance.now() > deadline) throw new CommandFailure(`the agent, process ${pid}, has not stopped yet`)
    await sleep(POLL_MS)
  }
}
