import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import type {
  ProcessEnd,
  ProcessListener,
  ProcessStarter,
  StartRequest,
  SupervisedProcess,
} from '../../../src/os/platform.js'

export interface Ended {
  /** 0 where it never ran. */
  readonly pid: number
  readonly output: Buffer
  readonly end: ProcessEnd
}

/** A process from its request on, with what it has told so far. */
export interface Watched {
  readonly process: SupervisedProcess
  output(): string
  /** Releases all output, that which has come and that which will. */
  release(): void
  /** Its pid once it runs; stays pending where it does not come to that. */
  readonly started: Promise<number>
  readonly ended: Promise<Ended>
}

/** A request that runs a shell script, of which `changes` changes what matters. */
export function script(lines: string, changes: Partial<StartRequest> = {}): StartRequest {
  return { file: '/bin/sh', args: ['-c', lines], cwd: '/', env: { PATH: '/usr/bin:/bin' }, ...changes }
}

/** Its output is released as it comes. */
export function request(starter: ProcessStarter, request: StartRequest): Watched {
  const watched = hold(starter, request)
  watched.release()
  return watched
}

/** Its output is not released before the call of `release`. */
export function hold(starter: ProcessStarter, request: StartRequest): Watched {
  return watch((listener) => starter.start(request, listener))
}

/** Watches a process from the call on that tells its listener. */
export function watch(begin: (listener: ProcessListener) => SupervisedProcess): Watched {
  const chunks: Buffer[] = []
  const output = () => Buffer.concat(chunks)
  let unreleased = 0
  let releases = false
  let pid = 0
  let run: (pid: number) => void = () => {}
  let end: (ended: Ended) => void = () => {}
  const started = new Promise<number>((resolve) => {
    run = resolve
  })
  const ended = new Promise<Ended>((resolve) => {
    end = resolve
  })
  const release = () => {
    releases = true
    if (unreleased > 0) process.release(unreleased)
    unreleased = 0
  }
  const process = begin({
    started: (its) => {
      pid = its
      run(its)
    },
    output: (chunk) => {
      chunks.push(Buffer.from(chunk))
      unreleased += chunk.length
      if (releases) release()
    },
    ended: (how) => end({ pid, output: output(), end: how }),
  })
  return { process, output: () => output().toString(), release, started, ended }
}

/** Resolves once it runs. */
export async function start(starter: ProcessStarter, what: StartRequest): Promise<Watched & { readonly pid: number }> {
  const watched = request(starter, what)
  const pid = await Promise.race([watched.started, watched.ended.then(({ end }) => end)])
  assert.ok(typeof pid === 'number', `not started: ${JSON.stringify(pid)}`)
  return { ...watched, pid }
}

/** Runs to the end. */
export function run(starter: ProcessStarter, what: StartRequest): Promise<Ended> {
  return request(starter, what).ended
}

/** Fields of /proc/PID/stat from the state on. */
export function statOf(pid: number | string): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

/** A process's end without what differs from run to run. */
export function how(end: ProcessEnd): object {
  const { use: _use, durationMs: _durationMs, ...rest } = { use: undefined, ...end }
  return rest
}
