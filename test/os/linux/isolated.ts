import { readFileSync } from 'node:fs'
import { isolate, release } from '../../../src/os/linux/isolation.js'

/** A program that isolates itself as an agent does, says so in a line of JSON, and releases at the end of its input. */

export interface Isolated {
  /** Its own cgroup, as /proc/self/cgroup has it. */
  readonly at: string
  /** Where its executions go; absent where they get no cgroups. */
  readonly dir?: string
}

const [stateDir = ''] = process.argv.slice(2)
const isolation = await isolate({
  stateDir,
  scratchDir: stateDir,
  noNewPrivileges: true,
  maxProcesses: 0,
  oomKill: 'execution',
  surviveMs: 0,
})
const [, at = ''] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? []
const dir = isolation.starter.kind === 'launcher' ? isolation.starter.cgroups?.dir : undefined
const isolated: Isolated = { at, ...(dir !== undefined && { dir }) }
process.stdout.write(`${JSON.stringify(isolated)}\n`)
process.stdin.once('end', () => release(isolation)).resume()
