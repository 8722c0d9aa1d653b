import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { buffer, text } from 'node:stream/consumers'
import { CLI } from '../../harness/agent.js'
import { onExit } from '../../harness/on-exit.js'

/** No command of a test takes this long: one that hangs fails its test instead of stopping the whole run. */
const LIMIT_MS = 150_000

export interface CliResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: Buffer
  readonly stderr: string
}

/** A `flux-agent` command that runs. */
export interface RunningCli {
  readonly process: ChildProcess
  readonly result: Promise<CliResult>
}

interface CliOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
}

/** Starts `flux-agent ARGS` without what this process's environment says about agents. */
export function startCli(args: readonly string[], options: CliOptions = {}): RunningCli {
  const own = Object.entries(process.env).filter(([name]) => !/^(AGENT_CONFIG|FLUX_AGENT_.*)$/.test(name))
  const child = spawn(process.execPath, [CLI, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: LIMIT_MS,
    killSignal: 'SIGKILL',
    env: { ...Object.fromEntries(own), ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  })
  onExit(() => child.kill('SIGKILL'))
  const result = Promise.all([once(child, 'close'), buffer(child.stdout), text(child.stderr)]).then(
    ([[code, signal], stdout, stderr]) => ({ code, signal, stdout, stderr }),
  )
  return { process: child, result }
}

/** Runs `flux-agent ARGS` to its end. */
export function runCli(args: readonly string[], options: CliOptions = {}): Promise<CliResult> {
  return startCli(args, options).result
}
