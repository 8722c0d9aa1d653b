import { SingleBar } from 'cli-progress'
import { Command, InvalidArgumentError } from 'commander'
import type { DeploymentAck__Output } from '../../generated/flux/DeploymentAck.js'
import { type ConnectionOptions, connectionOptions, withAgent } from '../connect.js'
import { answer } from '../connection.js'
import { CommandFailure } from '../failure.js'
import { formatBytes } from '../format.js'
import { writeJson, writeOut } from '../stdout.js'
import { readCode } from './archive.js'
import { guessHandler } from './handler.js'

interface DeployOptions extends ConnectionOptions {
  readonly handler?: string
  readonly memoryMb: number
  readonly cpuMillicores: number
  readonly timeout: number
  readonly env: Readonly<Record<string, string>>
  readonly maxConcurrency: number
  readonly wait?: boolean
  readonly exclude: readonly string[]
  readonly dereference?: boolean
  readonly json?: boolean
}

/** The largest int32: larger numbers would arrive as others. */
const INT32_MAX = 2 ** 31 - 1

/** Time for 50 MiB over a slow line, and for unpacking. */
const DEPLOY_SECONDS = 300

/** Smaller code is zipped before a progress bar could be read. */
const BAR_FROM_BYTES = 4 * 1024 * 1024

/** `flux-agent deploy`: registers a function and sends its code. */
export function deployCommand(): Command {
  return connectionOptions(
    new Command('deploy')
      .summary('register a function and deploy its code')
      .description(
        'Register a function and deploy its code: a folder, zipped with modes, times and links, or a zip as it is.',
      )
      .argument('NAME', 'function name')
      .argument('CODE', 'folder or zip file')
      .option('--handler <FILE>', 'program to run, relative to the code (default: the only candidate at the top)')
      .option('--memory-mb <N>', 'memory cap; 0: none', wholeNumber, 0)
      .option('--cpu-millicores <N>', 'CPU share, 1000 a core; 0: all', wholeNumber, 0)
      .option('--timeout <SECONDS>', 'end an execution after this long; 0: never', wholeNumber, 0)
      .option('--env <KEY=VALUE>', 'environment variable; can be repeated', variable, {})
      .option('--max-concurrency <N>', 'executions at once; 0: no limit', wholeNumber, 0)
      .option('--wait', 'let executions over --max-concurrency wait instead of being refused')
      .option('--exclude <PATH>', 'leave out a file or folder, relative to CODE; can be repeated', another, [])
      .option('--dereference', 'send what links out of CODE lead to, instead of refusing them')
      .option('--json', 'print the result as JSON')
      .addHelpText(
        'after',
        `
Examples:
  flux-agent deploy hello ./examples/hello
  flux-agent deploy resize resize.zip --handler bin/resize --memory-mb 256 --timeout 30 --env LEVEL=9`,
      )
      .action(deploy),
  )
}

async function deploy(name: string, path: string, options: DeployOptions): Promise<void> {
  const selection = { exclude: options.exclude, dereference: options.dereference ?? false }
  const { zip, files, leftOut, unmatched } = await withBar((progress) => readCode(path, progress, selection))
  for (const folder of leftOut) process.stderr.write(`flux-agent: left out ${folder}, an agent's own state\n`)
  for (const given of unmatched) {
    process.stderr.write(`flux-agent: --exclude ${given} leaves out nothing: no file or folder of CODE has that path\n`)
  }
  // For an unreadable zip the agent reports that first, whatever the handler.
  const handler = options.handler ?? (files ? guessHandler(name, files) : name)
  const config = {
    name,
    handler,
    memory_mb: options.memoryMb,
    cpu_millicores: options.cpuMillicores,
    timeout_seconds: options.timeout,
    env: options.env,
    max_concurrency: options.maxConcurrency,
    max_concurrency_behavior: options.wait ? 'wait' : 'exit',
  }
  const message = await withAgent(options, async ({ agent }) => {
    const request = { function_name: name, code_archive: zip, config }
    const deployed = await answer<DeploymentAck__Output>(
      (call, done) => agent.DeployFunction(request, call, done),
      DEPLOY_SECONDS,
    )
    if (!deployed.success) throw new CommandFailure(deployed.message)
    return deployed.message
  })
  const bytes = zip.length
  if (options.json) return writeJson({ name, handler, bytes, message })
  const chosen = options.handler === undefined ? `${handler}, the only candidate` : handler
  await writeOut(`deployed ${name} (handler: ${chosen}; ${formatBytes(bytes)})\n`)
  if (message.includes('warning: ')) process.stderr.write(`flux-agent: ${message}\n`)
}

/** Shows a progress bar on a terminal while `work` takes long. */
async function withBar<T>(work: (progress: (done: number, total: number) => void) => Promise<T>): Promise<T> {
  const bar = new SingleBar({ format: 'zipping [{bar}] {percentage}%', clearOnComplete: true, stream: process.stderr })
  try {
    return await work((done, total) => {
      if (!process.stderr.isTTY || total < BAR_FROM_BYTES) return
      if (!bar.isActive) bar.start(total, 0)
      bar.update(done)
    })
  } finally {
    bar.stop()
  }
}

function wholeNumber(text: string): number {
  const number = Number(text)
  if (/^\d+$/.test(text) && number <= INT32_MAX) return number
  throw new InvalidArgumentError(`It needs to be a whole number from 0 to ${INT32_MAX}.`)
}

function another(path: string, earlier: readonly string[]): string[] {
  return [...earlier, path]
}

function variable(text: string, earlier: Record<string, string>): Record<string, string> {
  const [, key, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (key === undefined || value === undefined) throw new InvalidArgumentError('It needs to be KEY=VALUE.')
  return { ...earlier, [key]: value }
}
