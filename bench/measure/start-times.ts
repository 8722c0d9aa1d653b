import { chmodSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

/** Start times of sleepers, by `clockMs`, which they write to a file that any user may append to. */
export class StartTimes {
  readonly file = join(makeTempDir('flux-bench-starts-'), 'starts')

  constructor() {
    writeFileSync(this.file, '')
    chmodSync(dirname(this.file), 0o711)
    chmodSync(this.file, 0o622)
  }

  /** The times so far, in ascending order; forgets them. */
  take(): number[] {
    const lines = readFileSync(this.file, 'latin1').split('\n').filter(Boolean)
    truncateSync(this.file)
    return lines.map((nanoseconds) => Number(nanoseconds) / 1e6).sort((a, b) => a - b)
  }
}
