import { readFileSync } from 'node:fs'
import type { ProcessEnd, ProcessStarter, RunningProcess, StartRequest } from '../../src/os/platform.js'

export interface Ended {
  readonly pid: number
  readonly output: Buffer
  readonly end: ProcessEnd
}

/** A started process with what it has told so far. */
export interface Watched {
  readonly process: RunningProcess
  output(): string
  readonly ended: Promise<Ended>
}

/** A request that runs a shell script, of which `changes` changes what matters. */
export function script(lines: string, changes: Partial<StartRequest> = {}): StartRequest {
  return { file: '/bin/sh', args: ['-c', lines], cwd: '/', env: { PATH: '/usr/bin:/bin' }, ...changes }
}

export async function start(starter: ProcessStarter, request: StartRequest): Promise<Watched> {
  const chunks: Buffer[] = []
  let tell: (end: ProcessEnd) => void = () => {}
  const end = new Promise<ProcessEnd>((resolve) => {
    tell = resolve
  })
  const process = await starter.start(request, { output: (chunk) => chunks.push(Buffer.from(chunk)), ended: tell })
  const output = () => Buffer.concat(chunks)
  return {
    process,
    output: () => output().toString(),
    ended: end.then((end) => ({ pid: process.pid, output: output(), end })),
  }
}

/** Runs to the end. */
export async function run(starter: ProcessStarter, request: StartRequest): Promise<Ended> {
  return (await start(starter, request)).ended
}

/** Fields of /proc/PID/stat from the state on. */
export function statOf(pid: number | string): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}
