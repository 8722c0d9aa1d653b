import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Calls } from '../../harness/calls.js'
import { runLoad } from '../measure/load.js'
import { PRINTER } from '../measure/native-function.js'
import { checkPrinted, printedBytes } from '../measure/printed.js'
import { executions } from '../measure/requests.js'
import { RedisExecutions, type RedisTraffic, type StoredExecutions } from '../measure/stored.js'
import type { Target } from '../targets/target.js'

const POLL_MS = 1
const DEADLINE_MS = 60_000

/** The cost of one call. */
export interface Measured {
  readonly ms: number
  /** Present where the target's Redis is known. */
  readonly redis: RedisTraffic | undefined
}

/** Executions of the function `printer` of a target, each printing a number of bytes. */
export class OutputCalls {
  private constructor(
    readonly target: Target,
    private readonly calls: Calls,
    private readonly stored: StoredExecutions | undefined,
    readonly printed: Buffer,
    /** Bytes that the target retains of them. */
    readonly kept: number,
  ) {}

  /** Compares one answer in full; later sync answers are checked by length. */
  static async open(
    target: Target,
    calls: Calls,
    stored: StoredExecutions | undefined,
    bytes: number,
  ): Promise<OutputCalls> {
    const printed = printedBytes(bytes)
    const { output, error } = await calls.execute({
      function_name: PRINTER.name,
      args: [String(bytes)],
      execution_id: randomUUID(),
    })
    if (error !== '') throw new Error(`${target.label}: ${error}`)
    checkPrinted(printed, output)
    return new OutputCalls(target, calls, stored, printed, output.length)
  }

  /** From the call to the answer. */
  sync(): Promise<Measured> {
    return this.measured(async () => {
      const { latencies } = await runLoad({
        target: this.target,
        ...executions({ function_name: PRINTER.name, args: [String(this.printed.length)], execution_id: randomUUID() }),
        outputBytes: this.kept,
        pace: { kind: 'counted', inFlight: 1, callsEach: 1 },
      }).result
      return latencies.maxValue / 1000
    })
  }

  /**
   * Milliseconds until the store has the record's end and so all output, which is compared. Undefined where the store
   * is not accessible.
   */
  async async(): Promise<Measured | undefined> {
    const { stored } = this
    if (stored === undefined) return undefined
    const id = randomUUID()
    const measured = await this.measured(async () => {
      const begun = performance.now()
      await this.calls.start(PRINTER.name, [String(this.printed.length)], id)
      let status = await stored.status(id)
      while (status === undefined || status === 'running') {
        if (performance.now() - begun > DEADLINE_MS) throw new Error(`${this.target.label}: ${id} does not end`)
        await sleep(POLL_MS)
        status = await stored.status(id)
      }
      if (status !== 'success') throw new Error(`${this.target.label}: ${id} has ended as ${status}`)
      return performance.now() - begun
    })
    checkPrinted(this.printed, await stored.output(id))
    return measured
  }

  private async measured(call: () => Promise<number>): Promise<Measured> {
    if (!(this.stored instanceof RedisExecutions)) return { ms: await call(), redis: undefined }
    const before = await this.stored.traffic()
    const ms = await call()
    const after = await this.stored.traffic()
    return { ms, redis: { bytes: after.bytes - before.bytes, commands: after.commands - before.commands } }
  }
}
