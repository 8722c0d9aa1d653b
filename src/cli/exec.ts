import { randomUUID } from 'node:crypto'
import { type ClientUnaryCall, status } from '@grpc/grpc-js'
import { Command } from 'commander'
import type { CancelExecutionResponse__Output } from '../generated/flux/CancelExecutionResponse.js'
import type { ExecutionRequest } from '../generated/flux/ExecutionRequest.js'
import type { ExecutionResponse__Output } from '../generated/flux/ExecutionResponse.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { type AgentConnection, answer } from './connection.js'
import { exitCodeOf, INTERRUPTED, isOwnExit, NOT_RUN } from './exit-code.js'
import { CommandFailure, isServiceError } from './failure.js'
import { OutputPrinter } from './output-printer.js'
import { writeJson, writeOut } from './stdout.js'

interface ExecOptions extends ConnectionOptions {
  readonly async?: boolean
  readonly follow?: boolean
  readonly id?: string
  readonly json?: boolean
}

/** `flux-agent exec`: runs a function like a local program. */
export function execCommand(): Command {
  return connectionOptions(
    new Command('exec')
      .summary('run a function')
      .description('Run a function like a local program: its output as it comes, its exit code. Ctrl-C cancels it.')
      .argument('NAME', 'function to run')
      .argument('[ARGS...]', 'passed on as they are, also where they look like options; one -- before them is left out')
      .passThroughOptions()
      .option('--async', 'print the execution id and return; it runs on by itself')
      .option('--follow', 'with --async: print the id to stderr and stay until it ends')
      .option('--id <ID>', 'execution id (default: a random one)')
      .option('--json', 'with --async: print {"execution_id": ID}')
      .addHelpText(
        'after',
        `
Exit code: the function's; 124 timed out, 130 cancelled, 128+N ended by signal N, 125 not run.

Examples:
  flux-agent exec hello world
  flux-agent exec resize --width 200 photo.png     --width goes to the function, as all that follows NAME
  flux-agent exec report -- --json                 the same, said by --
  id=$(flux-agent exec --async report) && flux-agent logs --follow "$id"`,
      )
      .action((name: string, args: string[], options: ExecOptions, command: Command) =>
        run(name, argumentsOf(args, command), options).catch((error: Error) => {
          throw new CommandFailure(error.message, NOT_RUN)
        }),
      ),
  )
}

/**
 * The function's arguments. Warns about an option of this command right after the function's name, which may have been
 * meant for the command; after -- it is the function's.
 */
function argumentsOf(args: string[], command: Command): string[] {
  const [first] = args
  if (first === '--') return args.slice(1)
  if (command.options.some(({ long }) => long === first))
    console.error(`flux-agent: ${first} goes to the function; for exec itself it stands before the function's name`)
  return args
}

async function run(name: string, args: string[], options: ExecOptions): Promise<void> {
  const id = options.id ?? randomUUID()
  const request = { function_name: name, args, execution_id: id, async: options.async ?? false }
  process.exitCode = await withAgent(options, async (connection) => {
    if (!options.async) return runSync(connection, id, request)
    await begin(connection, request)
    if (options.follow) {
      console.error(id)
      return followAsync(connection, id)
    }
    await (options.json ? writeJson({ execution_id: id }) : writeOut(`${id}\n`))
    return 0
  })
}

async function runSync(connection: AgentConnection, id: string, request: ExecutionRequest): Promise<number> {
  const answered = new AbortController()
  const printer = new OutputPrinter(connection.operations, id)
  const { call, response } = execute(connection, request)
  const interrupt = onInterrupt(async () => {
    // A cancel still delivers the last output. Before the agent knows the id, only hanging up ends it.
    if (!(await cancel(connection, id))) call.cancel()
  })
  const following = printer.followUntil(answered.signal)
  try {
    const { output, error } = await response
    answered.abort()
    await following
    await printer.print(output)
    return interrupt.happened ? INTERRUPTED : report(error)
  } catch (error) {
    if (interrupt.happened && isServiceError(error) && error.code === status.CANCELLED) return INTERRUPTED
    throw error
  } finally {
    answered.abort()
    interrupt.release()
  }
}

async function followAsync(connection: AgentConnection, id: string): Promise<number> {
  const interrupt = onInterrupt(() => cancel(connection, id))
  try {
    const record = await new OutputPrinter(connection.operations, id).follow()
    return interrupt.happened ? INTERRUPTED : report(record.error ?? '')
  } finally {
    interrupt.release()
  }
}

async function begin(connection: AgentConnection, request: ExecutionRequest): Promise<void> {
  const { error } = await execute(connection, request).response
  if (error !== '') throw new CommandFailure(error)
}

/** Without a deadline: functions may run for days. */
function execute(connection: AgentConnection, request: ExecutionRequest) {
  let resolve: (response: ExecutionResponse__Output) => void
  let reject: (error: Error) => void
  const response = new Promise<ExecutionResponse__Output>((...settle) => {
    ;[resolve, reject] = settle
  })
  const call: ClientUnaryCall = connection.agent.ExecuteFunction(request, (error, value) => {
    if (error !== null) reject(error)
    else if (value !== undefined) resolve(value)
  })
  return { call, response }
}

async function cancel(connection: AgentConnection, id: string): Promise<boolean> {
  const { success } = await answer<CancelExecutionResponse__Output>((options, done) =>
    connection.agent.CancelExecution({ execution_id: id }, options, done),
  )
  return success
}

/** Calls `act` at the first Ctrl-C; a second one ends the command at once. */
function onInterrupt(act: () => Promise<unknown>): { readonly happened: boolean; release(): void } {
  const state = { happened: false, release: () => void process.off('SIGINT', listener) }
  const listener = (): void => {
    if (state.happened) process.exit(INTERRUPTED)
    state.happened = true
    act().catch((error: Error) => {
      console.error(`flux-agent: could not cancel: ${error.message}`)
      process.exit(INTERRUPTED)
    })
  }
  process.on('SIGINT', listener)
  return state
}

function report(error: string): number {
  if (!isOwnExit(error)) console.error(`flux-agent: ${error}`)
  return exitCodeOf(error)
}
