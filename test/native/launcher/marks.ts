import { randomBytes } from 'node:crypto'
import { type ProcessEntry, processesWith } from '../../../harness/proc.js'

/** In the environment of what the launchers of this process start, unless the test gives another. */
const MARK = ['LAUNCHER_TEST', randomBytes(8).toString('hex')] as const
export const MARK_ENTRY = MARK.join('=')

/** The environment of what is started, unless the test gives another. */
export const DEFAULT_ENV = ['PATH=/usr/bin:/bin', MARK_ENTRY]

/** What launchers of this process have started and what still runs. */
export function left(): ProcessEntry[] {
  return processesWith(...MARK).filter(({ state }) => state !== 'Z' && state !== 'X')
}
