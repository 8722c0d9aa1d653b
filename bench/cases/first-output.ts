import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Histogram } from 'hdr-histogram-js'
import type { Calls } from '../../harness/calls.js'
import { SLEEPER } from '../measure/native-function.js'
import { histogram, microseconds } from '../measure/statistics.js'
import type { StoredExecutions } from '../measure/stored.js'

const SAMPLES = 50
const POLL_MS = 1
const DEADLINE_MS = 10_000
/** Longer than its output is looked for. */
const SLEEP_MS = 60_000

/** A way to see the output of a running execution. */
export interface Sight {
  readonly name: string
  output(id: string): Promise<Buffer>
}

export function sightsOf(calls: Calls, stored: StoredExecutions | undefined): Sight[] {
  const answered = { name: 'GetExecution', output: (id: string) => answeredOutput(calls, id) }
  return stored === undefined ? [answered] : [answered, { name: 'the store', output: (id) => stored.output(id) }]
}

/** Microseconds from the call of an async execution of `sleeper`, which prints at once, until its line is seen. */
export async function firstOutput(calls: Calls, sight: Sight): Promise<Histogram> {
  const latencies = histogram()
  for (let sample = 0; sample < SAMPLES; sample++) {
    const id = randomUUID()
    const begun = performance.now()
    await calls.start(SLEEPER.name, [String(SLEEP_MS)], id)
    while ((await sight.output(id)).length === 0) {
      if (performance.now() - begun > DEADLINE_MS) throw new Error(`${sight.name} shows no output of ${id}`)
      await sleep(POLL_MS)
    }
    latencies.recordValue(microseconds(performance.now() - begun))
    const { success, message } = await calls.cancel(id)
    if (!success) throw new Error(`a cancel is answered with: ${message}`)
  }
  return latencies
}

async function answeredOutput(calls: Calls, id: string): Promise<Buffer> {
  const { output } = await calls.record(id)
  return Buffer.from(output ?? '')
}
