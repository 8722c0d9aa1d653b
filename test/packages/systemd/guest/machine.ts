import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { eventually } from '../../../../harness/eventually.js'
import { allProcesses } from '../../../../harness/proc.js'
import type { Versions } from '../boot.js'

/** The folder that the guest shares with the test that has booted it. */
export const SHARED = '/mnt/guest'

export const UNIT = 'flux-agent.service'

export const versions: Versions = JSON.parse(readFileSync(join(SHARED, 'versions.json'), 'utf8'))

/** The user ids of functions that are kept apart, by default. */
const SEPARATE = { first: 2_100_000_000, last: 2_100_065_535 }

export interface Outcome {
  readonly status: number | null
  /** stdout and stderr. */
  readonly output: string
}

/** Runs a command to its end, whatever that is; after two minutes it is killed. */
export function attempt(command: string, ...args: string[]): Outcome {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 120_000 })
  if (error) throw error
  return { status, output: stdout + stderr }
}

/** The output of a command that has to succeed. */
export function run(command: string, ...args: string[]): string {
  const { status, output } = attempt(command, ...args)
  assert.equal(status, 0, `${command} ${args.join(' ')}: ${output}`)
  return output.trim()
}

/** A property of the agent's unit, as `systemctl show` has it. */
export function property(name: string): string {
  return run('systemctl', 'show', '--property', name, '--value', UNIT)
}

export function mainPid(): number {
  return Number(property('MainPID'))
}

/** The lines of the agent's journal of this boot, oldest first. */
export function journal(...options: string[]): string[] {
  return run('journalctl', '--boot', '--no-pager', '--quiet', '--output=cat', `--unit=${UNIT}`, ...options).split('\n')
}

/** The pids of all that runs as the functions' user, or as a user of a function's own. What is dead and not reaped yet runs no more. */
export function runnerProcesses(): number[] {
  const runner = Number(run('id', '--user', 'flux-runner'))
  return allProcesses()
    .filter(({ state }) => state !== 'Z')
    .map(({ pid }) => pid)
    .filter((pid) => {
      const uid = statSync(`/proc/${pid}`, { throwIfNoEntry: false })?.uid ?? 0
      return uid === runner || (uid >= SEPARATE.first && uid <= SEPARATE.last)
    })
}

/** `eventually`, asking seldom: there is one processor, and what is waited for needs it. */
export function eventuallyInGuest<T>(
  what: string,
  probe: () => T | Promise<T>,
  withinSeconds = 20,
): Promise<NonNullable<T>> {
  const seldom = async () => {
    await sleep(200)
    return probe()
  }
  return eventually(what, seldom, withinSeconds)
}
