import { chmodSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { makeTempDir } from '../../harness/agent.js'

/** When sleepers began, as they have written it to a file that any user may add to; `clockMs`. */
export class StartTimes {
  readonly file = join(makeTempDir('flux-bench-starts-'), 'starts')

  constructor() {
    writeFileSync(this.file, '')
    chmodSync(dirname(this.file), 0o711)
    chmodSync(this.file, 0o622)
  }

  /** Those so far, the earliest first; forgets them. */
  take(): number[] {
    const lines = readFileSync(this.file, 'latin1').split('\n').filter(Boolean)
    truncateSync(this.file)
    return lines.map((nanoseconds) => Number(nanoseconds) / 1e6).sort((a, b) => a - b)
  }
}
