import { Piscina } from 'piscina'
import type { RunAs } from '../os/platform.js'
import type { ArchiveLimits, CodeVersion, DeployResult, DeployTask } from '../workers/messages.js'

const DEPLOY = new URL('../workers/deploy.js', import.meta.url).href
const DEPLOYS_AT_ONCE = 4

/** Unpacks archives in a thread of its own, so that neither calls nor running executions wait for it. Main thread only. */
export class Deployer {
  private readonly pool = new Piscina({
    filename: DEPLOY,
    minThreads: 1,
    maxThreads: 1,
    concurrentTasksPerWorker: DEPLOYS_AT_ONCE,
    // Else the older of two deploys of a function may be the last to run, and its code serves from then on.
    stricterFIFO: true,
    atomics: 'async',
    recordTiming: false,
    workerHistogram: false,
  })

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

  /** The archive is handed over: its memory must not be used afterwards. */
  async deploy(functionName: string, handler: string, archive: Buffer): Promise<DeployResult> {
    const { appsDir, runAs, limits } = this
    // A smaller one may lie in the memory that all small buffers share, which must not be handed over.
    const bytes = archive.byteLength > Buffer.poolSize ? archive : new Uint8Array(archive)
    const task: DeployTask = { functionName, handler, archive: bytes, appsDir, ...(runAs && { runAs }), limits }
    return this.pool.run(task, { name: 'deploy', transferList: [bytes.buffer as ArrayBuffer] })
  }

  removeVersion(dir: string): Promise<void> {
    return this.pool.run(dir, { name: 'removeVersion' })
  }

  /** Removes what earlier runs left; answers the versions that serve. */
  clean(): Promise<{ name: string; version: CodeVersion }[]> {
    return this.pool.run(this.appsDir, { name: 'cleanApps' })
  }

  destroy(): Promise<void> {
    return this.pool.destroy()
  }
}
