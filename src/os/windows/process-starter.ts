import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { environmentOf } from '../environment.js'
import type {
  EndCause,
  ProcessListener,
  ProcessOutcome,
  ProcessStarter,
  StartRequest,
  SupervisedProcess,
} from '../platform.js'
import { Supervision } from '../supervision.js'
import { commandOf } from './command.js'
import { killTree } from './process-tree.js'

/** A descendant may hold the pipes open: after the leader's end they are read until silent for this long. */
const SILENCE_MS = 100
/** The limit for that, however much is written. */
const READ_ON_MS = 1_000

type Child = ChildProcessByStdio<null, Readable, Readable>

/** Starts processes by child_process; taskkill ends them with their descendants. */
export class ChildProcessStarter implements ProcessStarter {
  readonly restarts = 0
  private readonly running = new Set<Supervised>()

  start(request: StartRequest, listener: ProcessListener): SupervisedProcess {
    const supervised = new Supervised(listener, request.timeoutMs ?? 0)
    this.running.add(supervised)
    void supervised.run(request).then((end) => {
      this.running.delete(supervised)
      listener.ended(supervised.supervision.ended(end))
    })
    return supervised
  }

  adopt(): never {
    throw new Error('only launchers outlive their agent')
  }

  async close(): Promise<void> {
    await Promise.all([...this.running].map((supervised) => supervised.killed('stopped')))
  }

  /** Nothing that it starts may outlive this process. */
  handOver(): Promise<void> {
    return this.close()
  }
}

class Supervised implements SupervisedProcess {
  readonly supervision: Supervision
  private child: Child | undefined
  private streams: readonly Readable[] = []
  /** Set once a kill has begun. */
  private killing: Promise<void> | undefined

  constructor(
    private readonly listener: ProcessListener,
    timeoutMs: number,
  ) {
    this.supervision = new Supervision(timeoutMs, {
      kill: () => {
        this.killing ??= this.end()
      },
      pauseOutput: () => {
        for (const stream of this.streams) stream.pause()
      },
      resumeOutput: () => this.resume(),
    })
  }

  kill(cause: EndCause): void {
    this.supervision.kill(cause)
  }

  /** Kills it, and resolves once that is done. */
  async killed(cause: EndCause): Promise<void> {
    this.kill(cause)
    await this.killing
  }

  release(bytes: number): void {
    this.supervision.release(bytes)
  }

  forget(): void {}

  /** Resolves when the process has ended and its output is read. */
  async run(request: StartRequest): Promise<ProcessOutcome> {
    // The listener must not be called before `start` has returned.
    await Promise.resolve()
    if (this.killing) return { kind: 'never started' }
    const command = commandOf(request.file, request.args)
    if (command.kind === 'impossible') return notStarted(command.code, command.problem)
    // A script's interpreter exists even where the script does not.
    if (!existsSync(request.file)) return notStarted('ENOENT', `${request.file} does not exist`)
    try {
      const child: Child = spawn(command.file, command.args, {
        cwd: request.cwd,
        env: withoutDoubles(environmentOf(request)),
        windowsHide: true,
        windowsVerbatimArguments: command.verbatim,
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      return await this.supervise(child)
    } catch (error) {
      return startFailure(request, error as NodeJS.ErrnoException)
    }
  }

  private async supervise(child: Child): Promise<ProcessOutcome> {
    const { pid } = child
    this.child = child
    this.streams = [child.stdout, child.stderr]
    const take = (chunk: Buffer) => {
      this.supervision.received(chunk.length)
      this.listener.output(chunk)
    }
    for (const stream of this.streams) stream.on('data', take)
    const exit = new Promise<number>((resolve, reject) => {
      child.once('exit', (code) => resolve(code ?? 1))
      child.on('error', reject)
    })
    if (pid !== undefined) {
      this.supervision.started()
      this.listener.started(pid)
    }
    const code = await exit
    this.child = undefined
    await this.readOn(child)
    if (!this.killing) return { kind: 'exited', code }
    await this.killing
    return { kind: 'killed', signal: 'SIGKILL' }
  }

  private resume(): void {
    for (const stream of this.streams) stream.resume()
  }

  private async readOn(child: Child): Promise<void> {
    this.resume()
    await new Promise<void>((resolve) => {
      child.once('close', resolve)
      const silence = setTimeout(resolve, SILENCE_MS)
      const limit = setTimeout(resolve, READ_ON_MS)
      for (const stream of this.streams) stream.on('data', () => silence.refresh())
      child.once('close', () => {
        clearTimeout(silence)
        clearTimeout(limit)
      })
    })
    for (const stream of this.streams) stream.destroy()
  }

  private async end(): Promise<void> {
    const { child } = this
    if (child?.pid === undefined) return
    const problem = await killTree(child.pid)
    if (problem === undefined) return
    child.kill('SIGKILL')
    this.listener.output(Buffer.from(`flux-agent: not all processes of this execution could be ended: ${problem}\n`))
  }
}

/** Kills a process and its descendants. Any thread. */
export function killGroup(pid: number): void {
  void killTree(pid)
}

function startFailure(request: StartRequest, { code = 'UNKNOWN', message }: NodeJS.ErrnoException) {
  const { file, cwd, args } = request
  if (code === 'ENOENT' && !existsSync(cwd)) return notStarted(code, `working directory ${cwd} does not exist`)
  if (code === 'E2BIG' || code === 'ENAMETOOLONG') {
    const characters = [...args, ...Object.entries(environmentOf(request)).flat()].reduce(
      (sum, text) => sum + text.length + 1,
      0,
    )
    return notStarted(code, `arguments and environment are too long: ${characters} characters`)
  }
  if (code === 'EACCES' || code === 'EPERM') return notStarted(code, `${file} may not be executed by the agent's user`)
  if (code === 'UNKNOWN') return notStarted(code, `${file} is no program that this Windows runs: ${message}`)
  return notStarted(code, `cannot start ${file}: ${message}`)
}

function notStarted(code: string, problem: string): ProcessOutcome {
  return { kind: 'not started', step: 'spawn', code, error: `${problem} (${code})` }
}

/** Windows ignores case in names of variables: the last one wins. */
function withoutDoubles(env: StartRequest['env']): Record<string, string> {
  const last = new Map(Object.entries(env).map(([name, value]) => [name.toUpperCase(), [name, value] as const]))
  return Object.fromEntries(last.values())
}
