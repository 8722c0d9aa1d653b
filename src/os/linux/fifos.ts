import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openNamedPipe, type Pipe } from './pipe.js'

const BATCH = 64
const LOW = 16
const run = promisify(execFile)

/**
 * Pipes for functions' output. Node gives a child socket pairs, one for each descriptor: the order between stdout and
 * stderr is lost, and /dev/stdout cannot be opened (ENXIO). Node cannot call pipe(2), so mkfifo(1) makes named pipes in
 * batches. Each is used once: a process left over from one execution must not reach the next one's pipe.
 */
export class Fifos {
  private readonly stock: string[] = []
  private making: Promise<void> | undefined
  private made = 0

  constructor(private readonly dir: string) {
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    for (const name of readdirSync(dir)) rmSync(join(dir, name))
  }

  async take(): Promise<Pipe> {
    const more = this.stock.length < LOW ? this.refill() : undefined
    // Reported to the caller that has to wait for it.
    more?.catch(() => {})
    while (this.stock.length === 0) await this.refill()
    return openNamedPipe(this.stock.pop() as string)
  }

  close(): void {
    rmSync(this.dir, { recursive: true, force: true })
  }

  private refill(): Promise<void> {
    this.making ??= this.make().finally(() => {
      this.making = undefined
    })
    return this.making
  }

  private async make(): Promise<void> {
    const paths = Array.from({ length: BATCH }, () => join(this.dir, String(this.made++)))
    // The runner must be able to open its stdout by name; the folder keeps other users out.
    await run('mkfifo', ['-m', '0666', ...paths])
    this.stock.push(...paths)
  }
}
