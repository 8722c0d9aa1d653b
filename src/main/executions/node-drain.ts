import { open, rm } from 'node:fs/promises'
import type { AgentState } from '../../host/agent-state.js'
import { drainedFile, drainedSince } from '../../host/drained.js'
import type { Log } from '../../log/log.js'
import type { AdmissionControl } from './admission.js'

/** An operator's drain: what was accepted goes on, nothing new is admitted, also after a restart. Main thread only. */
export class NodeDrain {
  private readonly file: string
  private turn: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly stateDir: string,
    private readonly admission: AdmissionControl,
    private readonly state: AgentState,
    private readonly log: Log,
  ) {
    this.file = drainedFile(stateDir)
  }

  /** Goes on with the drain of an earlier run, if there is one. Blocks; at the start. */
  restore(): void {
    const since = drainedSince(this.stateDir)
    if (!since) return
    this.begin(since)
    this.log.warn({ since }, 'drained since an earlier run: no new executions are taken until `flux-agent resume`')
  }

  /** Resolves once it is on disk and counts, with its begin. Rejects with the system's error, and nothing changes. */
  drain(): Promise<Date> {
    return this.inTurn(async () => {
      const before = this.state.drainedSince
      if (before) return before
      const file = await open(this.file, 'w', 0o600)
      try {
        await file.sync()
      } finally {
        await file.close()
      }
      const since = new Date()
      this.begin(since)
      this.log.info({ running: this.admission.active, waiting: this.admission.waiting }, 'draining')
      return since
    })
  }

  /** Takes new executions again; answers whether it was drained. Rejects as `drain` does. */
  resume(): Promise<boolean> {
    return this.inTurn(async () => {
      const drained = this.state.drainedSince !== undefined
      await rm(this.file, { force: true })
      this.admission.open()
      this.state.resume()
      if (drained) this.log.info('resumed')
      return drained
    })
  }

  private begin(since: Date): void {
    this.admission.close()
    this.state.drain(since)
  }

  private inTurn<T>(act: () => Promise<T>): Promise<T> {
    const result = this.turn.then(act)
    this.turn = result.catch(() => undefined)
    return result
  }
}
