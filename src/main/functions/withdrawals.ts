import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Log } from '../../log/log.js'
import type { FunctionSettings } from '../../store/function.js'
import { type Store, StoreUnavailable } from '../../store/store.js'

interface Pending {
  readonly over: Promise<void>
  /** Why the store does not take it back. */
  cause: string
}

const RETRY_MS = 500
const SUFFIX = '.json'

/**
 * Registrations that have been answered as failed and may be in the store all the same, or come there yet: they are
 * taken back as soon as the store answers, if need be after the next start, for which each is kept in a file until then.
 */
export class Withdrawals {
  private readonly pending = new Map<string, Pending>()
  private readonly closing = new AbortController()

  constructor(
    /** For the files. */
    private readonly dir: string,
    private readonly store: Store,
    private readonly log: Log,
  ) {}

  /** Resolves once it is on disk. `cause`: why the registration failed. */
  async add(settings: FunctionSettings, registration: string, cause: string): Promise<void> {
    const { name } = settings
    const file = join(this.dir, `${registration}${SUFFIX}`)
    const kept = this.keep(settings, file)
    const over = kept.then(() => this.withdraw(settings, registration, file)).finally(() => this.pending.delete(name))
    this.pending.set(name, { over, cause })
    await kept
  }

  /** Waits until nothing is left to take back of the function; answers why something is where that takes too long. */
  async settled(name: string, limitMs: number): Promise<string | undefined> {
    const pending = this.pending.get(name)
    if (!pending) return undefined
    await Promise.race([pending.over, sleep(limitMs, undefined, { ref: false })])
    return this.pending.get(name)?.cause
  }

  /** Takes back what an earlier run could not. Rejects with StoreUnavailable, and can be called again. */
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

  /** What is pending waits for the next start. */
  close(): void {
    this.closing.abort()
  }

  private async keep(settings: FunctionSettings, file: string): Promise<void> {
    try {
      await mkdir(this.dir, { recursive: true, mode: 0o700 })
      await writeFile(file, JSON.stringify(settings), { mode: 0o600 })
    } catch (error) {
      const what = 'a registration that failed stays in the store should the agent end before the store is back'
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
          this.log.error({ function: settings.name, err: error }, 'a registration that failed is not taken back')
          return
        }
        const pending = this.pending.get(settings.name)
        if (pending) pending.cause = error.message
        await sleep(RETRY_MS, undefined, { signal, ref: false }).catch(() => undefined)
      }
    }
  }
}

/** Undefined where a killed agent has written half of it. */
function parse(text: string): FunctionSettings | undefined {
  try {
    return JSON.parse(text) as FunctionSettings
  } catch {
    return undefined
  }
}
