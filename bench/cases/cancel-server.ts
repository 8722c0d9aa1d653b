import { chmodSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeTempDir } from '../../harness/agent.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import type { Server } from '../measure/control.js'
import { clockMs, type Deaths, type Watch } from '../measure/deaths.js'
import { deployFunction } from '../measure/deploy.js'
import { type Records, recordsOf } from '../measure/records.js'
import { functionName, SHAPES, type Shape } from './shapes.js'

/** How long a process may live after the answer before it counts as a survivor. */
const SURVIVAL_MS = 1000
const READY_MS = 30_000
const RECORD_MS = 10_000

/** An execution whose processes all run and are watched. */
export interface Victim {
  readonly id: string
  readonly watch: Watch
}

/** Milliseconds from the call. */
export interface Cancelled {
  /** Until the last process died; infinite where one survived. */
  readonly dead: number
  readonly answered: number
  readonly survivors: number
}

export interface Recorded {
  /** Until the record showed it. Looked for after the answer only, so as not to delay the cancel. */
  readonly recorded: number
  /** Duration of the last look, so the error of the value above. */
  readonly look: number
}

/** A server on this machine, with what a cancel there needs and what shows deaths. */
export class CancelServer {
  readonly label: string
  private readonly records: Records
  private readonly dir = makeTempDir('flux-bench-cancel-')
  private started = 0

  private constructor(
    private readonly server: Server,
    private readonly deaths: Deaths,
  ) {
    this.label = server.target.label
    this.records = recordsOf(server)
    // Functions may run as another user.
    chmodSync(this.dir, 0o777)
  }

  static async open(server: Server, deaths: Deaths): Promise<CancelServer> {
    for (const shape of SHAPES) {
      const archive = buildZip([{ name: 'main.sh', contents: `#!/bin/sh\n${shape.script}\n`, mode: PROGRAM }])
      await deployFunction(server, { name: functionName(shape), handler: 'main.sh' }, archive)
    }
    return new CancelServer(server, deaths)
  }

  async run(shape: Shape): Promise<Victim> {
    const file = join(this.dir, String(++this.started))
    const id = await this.server.calls.start(functionName(shape), [file])
    const pids = await pidsIn(file)
    if (pids.length !== shape.processes) throw new Error(`"${shape.name}" has told ${pids.length} pids`)
    return { id, watch: await this.deaths.watch(pids) }
  }

  async cancel(victim: Victim): Promise<Cancelled> {
    const begun = clockMs()
    await this.call(victim)
    return this.ended(victim, begun, clockMs())
  }

  async cancelAndLook(victim: Victim): Promise<Cancelled & Recorded> {
    const begun = clockMs()
    await this.call(victim)
    const answered = clockMs()
    const [cancelled, recorded] = await Promise.all([
      this.ended(victim, begun, answered),
      this.recorded(victim.id, begun, answered),
    ])
    return { ...cancelled, ...recorded }
  }

  /** Latency of a call without work, milliseconds. */
  async ping(): Promise<number> {
    const begun = clockMs()
    await this.server.calls.health()
    return clockMs() - begun
  }

  close(): void {
    this.records.close()
  }

  private async call({ id }: Victim): Promise<void> {
    const { success, message } = await this.server.calls.cancel(id)
    if (!success) throw new Error(`${this.label}: a cancel is answered with: ${message}`)
  }

  private async ended({ watch }: Victim, begun: number, answered: number): Promise<Cancelled> {
    const last = await watch.last(SURVIVAL_MS)
    const survivors = watch.alive()
    for (const pid of survivors) process.kill(pid, 'SIGKILL')
    return {
      dead: last === undefined ? Number.POSITIVE_INFINITY : last - begun,
      answered: answered - begun,
      survivors: survivors.length,
    }
  }

  private async recorded(id: string, begun: number, answered: number): Promise<Recorded> {
    for (let from = answered; ; ) {
      const [record] = await this.records.read([id])
      const now = clockMs()
      if (record?.status === 'cancelled') return { recorded: now - begun, look: now - from }
      if (now - answered > RECORD_MS || (record && record.status !== 'running'))
        throw new Error(`${this.label}: the record of a cancelled execution tells ${record?.status ?? 'nothing'}`)
      from = now
    }
  }
}

/** What a shape has written, once complete. */
async function pidsIn(file: string): Promise<number[]> {
  for (const begun = performance.now(); performance.now() - begun < READY_MS; await sleep(1)) {
    const text = readOrNothing(file)
    if (text.endsWith('ready\n')) return (text.match(/\d+/g) ?? []).map(Number)
  }
  throw new Error(
    `a function has not written its pids to ${file}: the server needs to be on this machine, with its /tmp`,
  )
}

function readOrNothing(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
