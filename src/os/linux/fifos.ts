import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { openNamedPipe, type Pipe } from './pipe.js'

const BATCH = 64
const LOW = 16
const run = promisify(execFile)

/**
 * Real pipes for functions' output. Node gives a child socket pairs, one a descriptor: then the order between stdout and
 * stderr is lost, and /dev/stdout cannot be opened (ENXIO). It cannot call pipe(2) either, so named pipes are made in
 * batches by mkfifo(1), and each is used once: a process left over from one execution must not reach the next one's.
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
    // A failed refill is the failure of whoever has to wait for it.
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
    // The runner must be able to open its own stdout by name; the folder keeps everybody else out.
    await run('mkfifo', ['-m', '0666', ...paths])
    this.stock.push(...paths)
  }
}
