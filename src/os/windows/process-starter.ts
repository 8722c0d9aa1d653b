import { execFile, spawn } from 'node:child_process'
import type { ProcessListener, ProcessStarter, StartRequest, SupervisedProcess } from '../platform.js'

/** Starts processes by child_process; a process and its descendants are ended by taskkill. */
export class ChildProcessStarter implements ProcessStarter {
  private readonly running = new Set<number>()

  start(request: StartRequest, listener: ProcessListener): SupervisedProcess {
    const child = spawn(request.file, request.args, {
      cwd: request.cwd,
      env: request.env,
      windowsHide: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const { pid } = child
    const streams = [child.stdout, child.stderr]
    if (pid === undefined) {
      child.once('error', ({ code = 'UNKNOWN', message }: NodeJS.ErrnoException) =>
        listener.ended({ kind: 'not started', code, error: `cannot start ${request.file}: ${message}` }),
      )
    } else {
      this.running.add(pid)
      child.once('spawn', () => listener.started(pid))
      for (const stream of streams) stream.on('data', (chunk: Buffer) => listener.output(chunk))
      child.once('exit', (code, signal) => {
        this.running.delete(pid)
        // A descendant that holds the pipes must not delay the end: what was written is in by the next turn.
        setImmediate(() => {
          for (const stream of streams) stream.destroy()
          listener.ended(signal === null ? { kind: 'exited', code: code ?? 0 } : { kind: 'killed', signal })
        })
      })
    }
    return {
      kill: () => {
        if (pid !== undefined && this.running.has(pid)) killGroup(pid)
      },
      pause: () => {
        for (const stream of streams) stream.pause()
      },
      resume: () => {
        for (const stream of streams) stream.resume()
      },
    }
  }

  async close(): Promise<void> {
    for (const pid of this.running) killGroup(pid)
  }
}

/** Ends a process and its descendants (taskkill /F /T). From any thread. */
export function killGroup(pid: number): void {
  execFile('taskkill', ['/F', '/T', '/PID', String(pid)], { windowsHide: true }, () => {})
}
