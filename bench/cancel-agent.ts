import type { FollowOutputResponse__Output } from '../src/generated/flux/operations/FollowOutputResponse.js'
import { startTestAgent, type TestAgent } from '../test/support/agent.js'
import { Calls } from '../test/support/calls.js'
import { clockMs, Deaths, type Watch } from './deaths.js'
import { functionName, SHAPES, type Shape } from './shapes.js'

/** How long whatever is still alive when the cancel has been answered may live before it counts as a survivor. */
const SURVIVAL_MS = 1000
const DEADLINE_MS = 30_000

/** An execution whose processes are all there and watched. */
export interface Victim {
  readonly id: string
  readonly watch: Watch
}

/** Milliseconds from the call on. */
export interface Cancelled {
  /** To the death of the last process. */
  readonly dead: number
  readonly answered: number
  readonly survivors: number
}

/** A real agent in its own process, and what is needed to cancel there and to see who dies when. */
export class CancelAgent {
  private constructor(
    private readonly agent: TestAgent,
    private readonly calls: Calls,
    private readonly deaths: Deaths,
  ) {}

  static async start(): Promise<CancelAgent> {
    const agent = await startTestAgent()
    const calls = new Calls(agent.client)
    for (const shape of SHAPES) await calls.script(functionName(shape), shape.script)
    return new CancelAgent(agent, calls, new Deaths())
  }

  async run(shape: Shape): Promise<Victim> {
    const id = await this.calls.start(functionName(shape))
    const printed = shape.endless ? await this.beginning(id) : await this.whole(id)
    const pids = printed.match(/\d+/g) ?? []
    if (pids.length !== shape.processes) throw new Error(`"${shape.name}" has printed ${pids.length} pids`)
    return { id, watch: await this.deaths.watch(pids.map(Number)) }
  }

  async cancel({ id, watch }: Victim): Promise<Cancelled> {
    const begun = clockMs()
    const { success, message } = await this.calls.cancel(id)
    const answered = clockMs()
    if (!success) throw new Error(`a cancel is answered with: ${message}`)
    const last = await watch.last(SURVIVAL_MS)
    const survivors = watch.alive()
    for (const pid of survivors) process.kill(pid, 'SIGKILL')
    return {
      dead: last === undefined ? Number.POSITIVE_INFINITY : last - begun,
      answered: answered - begun,
      survivors: survivors.length,
    }
  }

  /** How long a call takes that has nothing to do, milliseconds. */
  async ping(): Promise<number> {
    const begun = clockMs()
    await this.calls.health()
    return clockMs() - begun
  }

  async stop(): Promise<void> {
    await this.agent.stop()
    await this.deaths.close()
  }

  private async whole(id: string): Promise<string> {
    const { output = '' } = await this.calls.printed(id, 'ready')
    return output
  }

  /**
   * The output up to "ready". Not for all: Node's HTTP/2 closes a connection on which more than 33 streams a second are
   * reset, after the first 1,000.
   */
  private async beginning(id: string): Promise<string> {
    const stream = this.agent.operations.followOutput({ execution_id: id }, { deadline: Date.now() + DEADLINE_MS })
    let output = ''
    try {
      for await (const { chunk } of stream as AsyncIterable<FollowOutputResponse__Output>) {
        output += chunk?.data.toString() ?? ''
        const end = output.indexOf('ready')
        if (end >= 0) return output.slice(0, end)
      }
    } finally {
      // Told as an error, to nobody.
      stream.on('error', () => {})
      stream.cancel()
    }
    throw new Error(`an execution has ended early, after ${JSON.stringify(output)}`)
  }
}
