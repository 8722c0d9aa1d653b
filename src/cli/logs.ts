import { status } from '@grpc/grpc-js'
import { Command, Option } from 'commander'
import type { GetExecutionResponse__Output } from '../generated/flux/GetExecutionResponse.js'
import type { ExecutionRecord } from '../store/record.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { type AgentConnection, answer } from './connection.js'
import { isOwnExit } from './exit-code.js'
import { CommandFailure, isServiceError } from './failure.js'
import { OutputPrinter } from './output-printer.js'
import { writeJson } from './stdout.js'

interface LogsOptions extends ConnectionOptions {
  readonly follow?: boolean
  readonly json?: boolean
}

/** Time for the longest answer, 50 MiB, over a slow line. */
const RECORD_SECONDS = 120

/** `flux-agent logs`: prints the output of an execution that runs, or ended within the last hour. */
export function logsCommand(): Command {
  return connectionOptions(
    new Command('logs')
      .summary('print the output of an execution')
      .description('Print the output so far of an execution, byte for byte, or with --follow until it ends.')
      .argument('ID', 'execution id')
      .option('--follow', 'print on until the execution ends')
      .addOption(new Option('--json', 'print the execution record with its output as text').conflicts('follow'))
      .addHelpText('after', '\nExample:\n  flux-agent logs --follow 7d4f2c1e-5b0a-4a51-9b0e-1f7d3a8c2b10')
      .action((id: string, options: LogsOptions) => withAgent(options, (connection) => print(connection, id, options))),
  )
}

async function print(connection: AgentConnection, id: string, options: LogsOptions): Promise<void> {
  const printer = new OutputPrinter(connection.operations, id)
  if (options.follow) {
    const { error = '' } = await printer.follow().catch((failure: unknown) => {
      throw isServiceError(failure) && failure.code === status.NOT_FOUND ? unknown(id) : failure
    })
    if (!isOwnExit(error)) console.error(`flux-agent: ${error}`)
    return
  }
  const record = await getRecord(connection, id)
  if (options.json) return writeJson(record)
  await printer.printUpTo(record.output_bytes ?? 0)
}

async function getRecord({ agent }: AgentConnection, id: string): Promise<ExecutionRecord> {
  const { found, data } = await answer<GetExecutionResponse__Output>(
    (call, done) => agent.GetExecution({ execution_id: id }, call, done),
    RECORD_SECONDS,
  )
  if (!found) throw unknown(id)
  return JSON.parse(data.toString())
}

function unknown(id: string): CommandFailure {
  return new CommandFailure(`no execution ${id} here: it never ran on this agent, or ended more than an hour ago`)
}
