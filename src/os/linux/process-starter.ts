import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { threadId } from 'node:worker_threads'
import {
  type ProcessEnd,
  type ProcessListener,
  type ProcessStarter,
  type RunningProcess,
  StartFailure,
  type StartRequest,
} from '../platform.js'
import { Fifos } from './fifos.js'
import { type Pipe, readInto } from './pipe.js'
import { groupDead, killGroup } from './process-group.js'
import { checkExecutable, explainFailure } from './start-failure.js'

/** The most a pipe can hold, so the most that was "already written" when the leader ended (pipe(7)). */
const PIPE_MAX = 1_048_576

/** Starts processes by child_process, each the leader of a session and a group of its own. */
export class ChildProcessStarter implements ProcessStarter {
  private readonly fifos: Fifos
  private readonly running = new Set<number>()
  private turns: Promise<unknown> = Promise.resolve()
  /** One for all reads of this thread: each chunk is done with before the next read. */
  private readonly readBuffer = Buffer.allocUnsafeSlow(65_536)

  constructor(scratchDir: string) {
    this.fifos = new Fifos(join(scratchDir, `fifo-${process.pid}-${threadId}`))
  }

  async start(request: StartRequest, listener: ProcessListener): Promise<RunningProcess> {
    const { child, pid, pipe } = await this.spawn(request).catch(async (error: NodeJS.ErrnoException) => {
      if (error instanceof StartFailure) throw error
      throw await explainFailure({ code: error.code ?? 'UNKNOWN', message: error.message }, request)
    })
    this.running.add(pid)
    const reader = readInto(this.readBuffer, pipe.readFd, (chunk) => listener.output(chunk))
    child.once('exit', (code, signal) => {
      // Before anything else, while the group's number cannot have been given to anybody new.
      const leftover = killGroup(pid)
      // A reader that has met the end has closed the descriptor, and its number may be another pipe's by now.
      if (!reader.destroyed) this.drain(pipe, listener)
      reader.destroy()
      void (leftover ? groupDead(pid) : Promise.resolve()).then(() => {
        this.running.delete(pid)
        listener.ended(endOf(code, signal))
      })
    })
    return {
      pid,
      kill: () => {
        if (this.running.has(pid)) killGroup(pid)
      },
      pause: () => void reader.pause(),
      resume: () => void reader.resume(),
    }
  }

  async close(): Promise<void> {
    for (const pid of this.running) killGroup(pid)
    this.fifos.close()
  }

  private async spawn(request: StartRequest): Promise<{ child: ChildProcess; pid: number; pipe: Pipe }> {
    await checkExecutable(request.file)
    const pipe = await this.fifos.take()
    try {
      await this.turn()
      if (request.signal?.aborted) throw new StartFailure('ABORTED', `${request.file} was not started any more`)
      return { ...(await spawnLeader(request, pipe.writeFd)), pipe }
    } catch (error) {
      closeSync(pipe.readFd)
      throw error
    } finally {
      closeSync(pipe.writeFd)
    }
  }

  /** A start holds the thread for milliseconds: between two of them output, timers and cancels get their turn. */
  private turn(): Promise<unknown> {
    this.turns = this.turns.then(() => nextTurn())
    return this.turns
  }

  /** Reads what is in the pipe now; an escaped process that holds the other end open is not waited for. */
  private drain(pipe: Pipe, listener: ProcessListener): void {
    try {
      for (let left = PIPE_MAX; left > 0; ) {
        const bytes = readSync(pipe.readFd, this.readBuffer)
        if (bytes === 0) return
        listener.output(this.readBuffer.subarray(0, bytes))
        left -= bytes
      }
    } catch {
      // EAGAIN: empty.
    }
  }
}

async function spawnLeader(request: StartRequest, outputFd: number): Promise<{ child: ChildProcess; pid: number }> {
  const child = spawn(request.file, request.args, {
    cwd: request.cwd,
    env: request.env,
    detached: true,
    stdio: ['ignore', outputFd, outputFd],
    ...(request.runAs && { uid: request.runAs.uid, gid: request.runAs.gid }),
  })
  if (child.pid !== undefined) return { child, pid: child.pid }
  const [error] = await once(child, 'error')
  throw error
}

function endOf(code: number | null, signal: NodeJS.Signals | null): ProcessEnd {
  return signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'killed', signal }
}
