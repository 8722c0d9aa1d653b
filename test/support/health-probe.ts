import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onExit } from '../../harness/on-exit.js'
import { inWords, type Latencies } from './latencies.js'

const PROBE = fileURLToPath(new URL('./health-probe-process.js', import.meta.url))

/** The same checks at the same time, of the agent and of an idle server; each side of them is a process of its own. */
export interface Measured {
  readonly agent: Latencies
  /** What the machine, with everything else that runs on it, adds to any answer. */
  readonly idle: Latencies
}

/** Checks an agent's health from another process, which ends at the latest with this one. */
export class HealthProbe {
  private constructor(private readonly probe: ChildProcess) {}

  static async start(port: number): Promise<HealthProbe> {
    const probe = fork(PROBE, [String(port)])
    onExit(() => probe.kill('SIGKILL'))
    await once(probe, 'message')
    return new HealthProbe(probe)
  }

  /** Checks over and over while `work` goes on. */
  async measure(work: () => Promise<unknown>): Promise<Measured> {
    this.probe.send('begin')
    try {
      await work()
    } finally {
      this.probe.send('end')
    }
    const [measured] = await once(this.probe, 'message')
    return measured
  }

  stop(): void {
    this.probe.kill('SIGKILL')
  }
}

/** For the log of a test. */
export function describeLatencies({ agent, idle }: Measured): string {
  return `agent: ${inWords(agent)}; idle server: ${inWords(idle)}`
}

/** What the agent itself adds at the 99th percentile. */
export function ownP99({ agent, idle }: Measured): number {
  return Math.max(0, agent.p99 - idle.p99)
}
