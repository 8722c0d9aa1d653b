import { readdirSync } from 'node:fs'
import { Piscina } from 'piscina'
import type { ArchiveLimits } from '../../archive/limits.js'
import { installation } from '../../installation.js'
import type {
  AppsCheck,
  AppsFound,
  CodePlaces,
  CodeVersion,
  DeployRefused,
  DeployTask,
  HandlerCheck,
  PreparedVersion,
  PrepareResult,
  VersionRemoval,
} from '../../threads/messages.js'
import { Places } from './places.js'

/** Large archives unpacked at a time. Calls that need no unpacking do not wait for them. */
const UNPACKED_AT_ONCE = 4
/** Bytes of an archive from which on it is a large one: others share what they wait for on the disk. */
const LARGE = 256 * 1024
const UNLIMITED = 1_000_000
const REMOVAL_RETRY_MS = 5_000
/** An idle thread is 10 MB; the next deploy starts another in some 40 ms. */
const IDLE_MS = 10_000

/**
 * Unpacks archives in a thread of its own, so that calls and running executions do not wait for it. Main thread only.
 */
export class Deployer {
  private readonly pool = new Piscina({
    filename: installation.deployThread,
    // See WorkerPool.
    name: 'prepare',
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: IDLE_MS,
    concurrentTasksPerWorker: UNLIMITED,
    atomics: 'async',
    recordTiming: false,
    workerHistogram: false,
  })

  private destroyed = false
  private readonly unpacking = new Places(UNPACKED_AT_ONCE)

  constructor(
    private readonly places: CodePlaces,
    /** Limits for the archives that follow. */
    public limits: ArchiveLimits,
  ) {
    this.pool.on('error', () => {
      // A thread that dies while idle is replaced.
    })
  }

  /**
   * Unpacks code into a version, which is made current at once, or by `activate` where settings come with it, which are
   * to be stored before: `fingerprint` is theirs. The archive's memory is moved to the thread and must not be used
   * afterwards.
   */
  async prepare(
    { name, handler }: { readonly name: string; readonly handler: string },
    archive: Buffer,
    fingerprint?: string,
  ): Promise<PrepareResult> {
    const { places, limits } = this
    // A small buffer shares its memory with others, so it must not be moved.
    const bytes = archive.byteLength > Buffer.poolSize ? archive : new Uint8Array(archive)
    const task: DeployTask = {
      ...places,
      functionName: name,
      handler,
      archive: bytes,
      ...(fingerprint === undefined ? { activate: true } : { fingerprint }),
      limits,
    }
    // Its length is 0 once it has been moved.
    const isLarge = bytes.byteLength > LARGE
    if (isLarge) await this.unpacking.enter()
    try {
      return await this.pool.run(task, { name: 'prepare', transferList: [bytes.buffer as ArrayBuffer] })
    } finally {
      if (isLarge) this.unpacking.leave()
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
  checkHandler(version: CodeVersion, handler: string): Promise<string | undefined> {
    const check: HandlerCheck = { version, handler, users: this.places.users }
    return this.pool.run(check, { name: 'checkHandler' })
  }

  /**
   * Removes a version, and retries until that succeeds: a failure, as a lack of descriptors, may pass. `failed` is
   * called with the first one.
   */
  removeVersion(dir: string, failed: (error: Error) => void): void {
    const removal: VersionRemoval = { versionDir: dir, cachesDir: this.places.cachesDir }
    this.pool.run(removal, { name: 'removeVersion' }).catch((error: Error) => {
      if (this.destroyed) return
      failed(error)
      setTimeout(() => this.removeVersion(dir, () => {}), REMOVAL_RETRY_MS).unref()
    })
  }

  /** Completes or removes what earlier runs left; answers what can serve. */
  async clean(stored: AppsCheck['stored'], inUse: AppsCheck['inUse']): Promise<AppsFound> {
    const { appsDir, cachesDir } = this.places
    // A node without functions starts without the thread.
    if (isEmpty(appsDir) && isEmpty(cachesDir)) return { serving: [], damaged: [], unusable: [], staleCaches: [] }
    const check: AppsCheck = { ...this.places, stored, inUse }
    return this.pool.run(check, { name: 'cleanApps' })
  }

  /** Removes caches that no version needs. `failed` is called for those that are left to the next start. */
  removeCaches(dirs: readonly string[], failed: (problem: string) => void): void {
    if (dirs.length === 0) return
    this.pool.run(dirs, { name: 'removeCaches' }).then(
      (problems: readonly string[]) => problems.forEach(failed),
      ({ message }: Error) => this.destroyed || failed(message),
    )
  }

  destroy(): Promise<void> {
    this.destroyed = true
    return this.pool.destroy()
  }
}

/** Also where it does not exist. What is hidden are not functions. */
function isEmpty(dir: string): boolean {
  try {
    return readdirSync(dir).every((name) => name.startsWith('.'))
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
