import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log/log.js'
import type { FunctionSettings } from '../../store/function.js'
import { type Store, StoreUnavailable } from '../../store/store.js'

interface Pending {
  readonly settled: Promise<void>
  /** Why the store has not taken it back yet. */
  cause: string
}

const RETRY_MS = 500
const SUFFIX = '.json'

/**
 * Failed registrations that may be in the store nevertheless, or still arrive there. They are withdrawn as soon as the
 * store answers; each is in a file until then, for the next start. Main thread only.
 */
export class Withdrawals {
  private readonly pending = new Map<string, Pending>()
  private readonly closing = new AbortController()

  constructor(
    /** The folder for the files. */
    private readonly dir: string,
    private readonly store: Store,
    private readonly log: Log,
  ) {}

  /** Withdraws a registration; resolves once that is noted on disk. `cause`: why the registration failed. */
  async add(settings: FunctionSettings, registration: string, cause: string): Promise<void> {
    const { name } = settings
    const file = join(this.dir, `${registration}${SUFFIX}`)
    const noted = this.note(settings, file)
    const settled = noted
      .then(() => this.withdraw(settings, registration, file))
      .finally(() => this.pending.delete(name))
    this.pending.set(name, { settled, cause })
    await noted
  }

  /** Waits until no withdrawal of the function is pending; answers why one is, where that takes longer. */
  async settled(name: string, limitMs: number): Promise<string | undefined> {
    const pending = this.pending.get(name)
    if (!pending) return undefined
    await Promise.race([pending.settled, sleep(limitMs, undefined, { ref: false })])
    return this.pending.get(name)?.cause
  }

  /** Withdraws what an earlier run could not. Rejects with StoreUnavailable; may be called again. */
  async replay(): Promise<void> {
    const names = await readdir(this.dir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return []
      throw error
    })
    for (const name of names.filter((found) => found.endsWith(SUFFIX))) {
      const file = join(this.dir, name)
      const settings = parse(await readFile(file, 'utf8'))
      if (settings) await this.store.withdrawFunction(settings, name.slice(0, -SUFFIX.length))
      await rm(file)
    }
  }

  /** Stops; pending withdrawals are made at the next start. */
  close(): void {
    this.closing.abort()
  }

  private async note(settings: FunctionSettings, file: string): Promise<void> {
    try {
      await mkdir(this.dir, { recursive: true, mode: 0o700 })
      await writeFile(file, JSON.stringify(settings), { mode: 0o600 })
    } catch (error) {
      const what =
        'failed registration is not noted on disk: it stays in the store if the agent ends before the store is back'
      this.log.error({ function: settings.name, cause: (error as Error).message }, what)
    }
  }

  private async withdraw(settings: FunctionSettings, registration: string, file: string): Promise<void> {
    const { signal } = this.closing
    while (!signal.aborted) {
      try {
        await this.store.withdrawFunction(settings, registration)
        await rm(file, { force: true })
        return
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) {
          this.log.error({ function: settings.name, err: error }, 'failed registration is not withdrawn: a defect')
          return
        }
        const pending = this.pending.get(settings.name)
        if (pending) pending.cause = error.message
        await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }
}

/** Undefined where a killed agent left the file incomplete. */
function parse(text: string): FunctionSettings | undefined {
  try {
    return JSON.parse(text) as FunctionSettings
  } catch {
    return undefined
  }
}
