import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
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
import { Fifos } from './fifos.js'
import { type Pipe, readInto } from './pipe.js'
import { exposeToOom } from './priority.js'
import { groupDead, killGroup } from './process-group.js'
import { explainFailure, formatFailure } from './program/start-failure.js'

/** The capacity of a pipe, so the most that was written before the leader ended (pipe(7)). */
const PIPE_MAX = 1_048_576

/** Starts processes by child_process, each as the leader of a session and group of its own. */
export class ChildProcessStarter implements ProcessStarter {
  readonly restarts = 0
  private readonly fifos: Fifos
  private readonly supervised = new Set<Supervised>()
  private turns: Promise<unknown> = Promise.resolve()
  /** Shared by all reads of this thread: each chunk is handled before the next read. */
  private readonly readBuffer = Buffer.allocUnsafeSlow(65_536)

  constructor(scratchDir: string) {
    this.fifos = new Fifos(join(scratchDir, `fifo-${process.pid}-${threadId}`))
  }

  start(request: StartRequest, listener: ProcessListener): SupervisedProcess {
    const supervised = new Supervised(listener, request.timeoutMs ?? 0)
    this.supervised.add(supervised)
    void this.launch(request, supervised)
      .catch((error: NodeJS.ErrnoException) =>
        explainFailure({ code: error.code ?? 'UNKNOWN', message: error.message }, request),
      )
      .then((end) => {
        this.supervised.delete(supervised)
        listener.ended(supervised.supervision.ended(end))
      })
    return supervised
  }

  adopt(): never {
    throw new Error('only launchers outlive their agent')
  }

  async close(): Promise<void> {
    for (const supervised of this.supervised) supervised.kill('stopped')
    this.fifos.close()
  }

  /** Nothing that it starts may outlive this process. */
  handOver(): Promise<void> {
    return this.close()
  }

  /** Resolves with the process's end; rejects with the system's error where the start fails. */
  private async launch(request: StartRequest, supervised: Supervised): Promise<ProcessOutcome> {
    const failure = await formatFailure(request.file)
    if (failure) return failure
    const pipe = await this.fifos.take()
    let child: ChildProcess
    try {
      await this.turn()
      if (supervised.unwanted) {
        closeSync(pipe.readFd)
        return { kind: 'never started' }
      }
      child = await spawnLeader(request, pipe.writeFd)
    } catch (error) {
      closeSync(pipe.readFd)
      throw error
    } finally {
      closeSync(pipe.writeFd)
    }
    return supervised.run(child, pipe, this.readBuffer)
  }

  /** A start blocks the thread for milliseconds: between two of them, output, timers and cancels get a turn. */
  private turn(): Promise<unknown> {
    this.turns = this.turns.then(() => nextTurn())
    return this.turns
  }
}

class Supervised implements SupervisedProcess {
  readonly supervision: Supervision
  /** Killed before it was started. */
  unwanted = false
  private pid: number | undefined
  private reader: Socket | undefined

  constructor(
    private readonly listener: ProcessListener,
    timeoutMs: number,
  ) {
    this.supervision = new Supervision(timeoutMs, {
      kill: () => {
        if (this.pid === undefined) this.unwanted = true
        else killGroup(this.pid)
      },
      pauseOutput: () => this.reader?.pause(),
      resumeOutput: () => this.reader?.resume(),
    })
  }

  kill(cause: EndCause): void {
    this.supervision.kill(cause)
  }

  release(bytes: number): void {
    this.supervision.release(bytes)
  }

  forget(): void {}

  /** Resolves when the process's group is dead. */
  run(child: ChildProcess, pipe: Pipe, readBuffer: Buffer): Promise<ProcessOutcome> {
    const { listener, supervision } = this
    const pid = child.pid as number
    this.pid = pid
    const take = (chunk: Buffer) => {
      supervision.received(chunk.length)
      listener.output(chunk)
    }
    const reader = readInto(readBuffer, pipe.readFd, take)
    this.reader = reader
    const end = new Promise<ProcessOutcome>((resolve) => {
      child.once('exit', (code, signal) => {
        this.pid = undefined
        // First, while the group's number cannot belong to another group yet.
        const leftover = killGroup(pid)
        // A reader at the end of its pipe has closed the descriptor, whose number may be in use again.
        if (!reader.destroyed) drain(pipe, readBuffer, take)
        reader.destroy()
        void (leftover ? groupDead(pid) : Promise.resolve([])).then((pids) => {
          const left = pids.length > 0 && { survivors: { count: pids.length, pids } }
          resolve({ ...endOf(code, signal), ...left })
        })
      })
    })
    supervision.started()
    listener.started(pid)
    return end
  }
}

/** Reads what is in the pipe now. Does not wait for an escaped process that holds the pipe open. */
function drain(pipe: Pipe, readBuffer: Buffer, take: (chunk: Buffer) => void): void {
  try {
    for (let left = PIPE_MAX; left > 0; ) {
      const bytes = readSync(pipe.readFd, readBuffer)
      if (bytes === 0) return
      take(readBuffer.subarray(0, bytes))
      left -= bytes
    }
  } catch {
    // EAGAIN: empty.
  }
}

async function spawnLeader(request: StartRequest, outputFd: number): Promise<ChildProcess> {
  const child = spawn(request.file, request.args, {
    cwd: request.cwd,
    env: environmentOf(request),
    detached: true,
    stdio: ['ignore', outputFd, outputFd],
    ...(request.runAs && { uid: request.runAs.uid, gid: request.runAs.gid }),
  })
  if (child.pid !== undefined) {
    exposeToOom(child.pid)
    return child
  }
  const [error] = await once(child, 'error')
  throw error
}

function endOf(code: number | null, signal: NodeJS.Signals | null): ProcessOutcome {
  return signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'killed', signal }
}
