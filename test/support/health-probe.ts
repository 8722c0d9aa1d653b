import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onExit } from '../../harness/on-exit.js'

const PROBE = fileURLToPath(new URL('./health-probe-process.js', import.meta.url))

/** How long health checks took, milliseconds. */
export interface Latencies {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

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
  const told = ({ count, p50, p99, max }: Latencies) =>
    `p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(1)}, max ${max.toFixed(1)} ms of ${count}`
  return `agent: ${told(agent)}; idle server: ${told(idle)}`
}

/** What the agent itself adds at the 99th percentile. */
export function ownP99({ agent, idle }: Measured): number {
  return Math.max(0, agent.p99 - idle.p99)
}
