import { Piscina } from 'piscina'
import type { ArchiveLimits } from '../../archive/limits.js'
import { installation } from '../../installation.js'
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

/** Archives unpacked at a time. Calls that need no unpacking do not wait for them. */
const UNPACKED_AT_ONCE = 4
const UNLIMITED = 1_000_000
const REMOVAL_RETRY_MS = 5_000

/**
 * Unpacks archives in a thread of its own, so that calls and running executions do not wait for it. Main thread only.
 */
export class Deployer {
  private readonly pool = new Piscina({
    filename: installation.deployThread,
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
    /** Limits for the archives that follow. */
    public limits: ArchiveLimits,
  ) {
    this.pool.on('error', () => {
      // A thread that dies while idle is replaced.
    })
  }

  /**
   * Unpacks code into a version that does not serve yet. `fingerprint`: that of the settings that come with it. The
   * archive's memory is moved to the thread and must not be used afterwards.
   */
  async prepare(
    { name, handler }: { readonly name: string; readonly handler: string },
    archive: Buffer,
    fingerprint?: string,
  ): Promise<PrepareResult> {
    const { appsDir, runAs, limits } = this
    // A small buffer shares its memory with others, so it must not be moved.
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

  /** Makes the version current, also after a restart; where that is refused, the version is removed. */
  activate(prepared: PreparedVersion): Promise<DeployRefused | undefined> {
    return this.pool.run(prepared, { name: 'activate' })
  }

  discard(prepared: PreparedVersion): Promise<void> {
    return this.pool.run(prepared, { name: 'discard' })
  }

  /** Why a version cannot be run by a handler it was not deployed for; undefined where it can. */
  checkHandler({ dir }: CodeVersion, handler: string): Promise<string | undefined> {
    const check: HandlerCheck = { versionDir: dir, handler, ...(this.runAs && { runAs: this.runAs }) }
    return this.pool.run(check, { name: 'checkHandler' })
  }

  /**
   * Removes a version, and retries until that succeeds: a failure, as a lack of descriptors, may pass. `failed` is
   * called with the first one.
   */
  removeVersion(dir: string, failed: (error: Error) => void): void {
    this.pool.run(dir, { name: 'removeVersion' }).catch((error: Error) => {
      if (this.destroyed) return
      failed(error)
      setTimeout(() => this.removeVersion(dir, () => {}), REMOVAL_RETRY_MS).unref()
    })
  }

  /** Completes or removes what earlier runs left; answers what can serve. */
  clean(stored: AppsCheck['stored'], inUse: AppsCheck['inUse']): Promise<AppsFound> {
    const check: AppsCheck = { appsDir: this.appsDir, stored, inUse, ...(this.runAs && { runAs: this.runAs }) }
    return this.pool.run(check, { name: 'cleanApps' })
  }

  destroy(): Promise<void> {
    this.destroyed = true
    return this.pool.destroy()
  }
}
