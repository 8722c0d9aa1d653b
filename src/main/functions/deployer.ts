import { Piscina } from 'piscina'
import type { ArchiveLimits } from '../../archive/limits.js'
import type { RunAs } from '../../os/platform.js'
import type {
  AppsCheck,
  AppsFound,
  CodeVersion,
  DeployRefused,
  DeployTask,
  HandlerCheck,
  PreparedVersion,
  PrepareResult,
} from '../../threads/messages.js'
import { Places } from './places.js'

const DEPLOY = new URL('../../workers/deploy/deploy.js', import.meta.url).href
/** Archives that are unpacked at once: what is asked for meanwhile, and takes no time, waits for none of them. */
const UNPACKED_AT_ONCE = 4
const UNLIMITED = 1_000_000
const REMOVAL_RETRY_MS = 5_000

/** Unpacks archives in a thread of its own, so that neither calls nor running executions wait for it. Main thread only. */
export class Deployer {
  private readonly pool = new Piscina({
    filename: DEPLOY,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: UNLIMITED,
    atomics: 'async',
    recordTiming: false,
    workerHistogram: false,
  })

  private destroyed = false
  private readonly unpacking = new Places(UNPACKED_AT_ONCE)

  constructor(
    private readonly appsDir: string,
    private readonly runAs: RunAs | undefined,
    /** Of the archives that come. */
    public limits: ArchiveLimits,
  ) {
    this.pool.on('error', () => {
      // A thread that dies without tasks is replaced.
    })
  }

  /**
   * Unpacks code that does not serve yet; with `fingerprint`, that of the settings that come with it. The archive is
   * handed over: its memory must not be used afterwards.
   */
  async prepare(
    { name, handler }: { readonly name: string; readonly handler: string },
    archive: Buffer,
    fingerprint?: string,
  ): Promise<PrepareResult> {
    const { appsDir, runAs, limits } = this
    // A smaller one may lie in the memory that all small buffers share, which must not be handed over.
    const bytes = archive.byteLength > Buffer.poolSize ? archive : new Uint8Array(archive)
    const task: DeployTask = {
      functionName: name,
      handler,
      archive: bytes,
      ...(fingerprint !== undefined && { fingerprint }),
      appsDir,
      ...(runAs && { runAs }),
      limits,
    }
    await this.unpacking.enter()
    try {
      return await this.pool.run(task, { name: 'prepare', transferList: [bytes.buffer as ArrayBuffer] })
    } finally {
      this.unpacking.leave()
    }
  }

  /** Has it serve after the next start, too; where that is refused it is gone. */
  activate(prepared: PreparedVersion): Promise<DeployRefused | undefined> {
    return this.pool.run(prepared, { name: 'activate' })
  }

  discard(prepared: PreparedVersion): Promise<void> {
    return this.pool.run(prepared, { name: 'discard' })
  }

  /** Why code cannot be run by a handler that it was not deployed for. */
  checkHandler({ dir }: CodeVersion, handler: string): Promise<string | undefined> {
    const check: HandlerCheck = { versionDir: dir, handler, ...(this.runAs && { runAs: this.runAs }) }
    return this.pool.run(check, { name: 'checkHandler' })
  }

  /** Until it is gone: what keeps it, as a lack of descriptors, may pass. `failed` hears of the first failure. */
  removeVersion(dir: string, failed: (error: Error) => void): void {
    this.pool.run(dir, { name: 'removeVersion' }).catch((error: Error) => {
      if (this.destroyed) return
      failed(error)
      setTimeout(() => this.removeVersion(dir, () => {}), REMOVAL_RETRY_MS).unref()
    })
  }

  /** Finishes or removes what earlier runs left; answers what serves. */
  clean(stored: AppsCheck['stored']): Promise<AppsFound> {
    const check: AppsCheck = { appsDir: this.appsDir, stored, ...(this.runAs && { runAs: this.runAs }) }
    return this.pool.run(check, { name: 'cleanApps' })
  }

  destroy(): Promise<void> {
    this.destroyed = true
    return this.pool.destroy()
  }
}
