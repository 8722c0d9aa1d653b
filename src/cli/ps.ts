import { Command } from 'commander'
import type { ListExecutionsResponse__Output } from '../generated/flux/operations/ListExecutionsResponse.js'
import type { RunningExecution__Output } from '../generated/flux/operations/RunningExecution.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { answer } from './connection.js'
import { formatBytes, formatDuration } from './format.js'
import { writeJson, writeOut } from './stdout.js'

interface PsOptions extends ConnectionOptions {
  readonly json?: boolean
}

const HEADER = ['ID', 'FUNCTION', 'STATE', 'AGE', 'PID', 'CPU', 'MEMORY']

/** `flux-agent ps`: lists executions that run or wait. */
export function psCommand(): Command {
  return connectionOptions(
    new Command('ps')
      .summary('list the executions that run or wait for a slot')
      .description('List the executions that run or wait for a slot. CPU is of one core: 100% is a whole core.')
      .option('--json', 'print the list as JSON')
      .addHelpText('after', '\nExample:\n  flux-agent ps --json | jq -r .executions[].execution_id')
      .action(async (options: PsOptions) => {
        const list = await withAgent(options, ({ operations }) =>
          answer<ListExecutionsResponse__Output>((call, done) => operations.ListExecutions({}, call, done)),
        )
        await (options.json ? writeJson(list) : writeOut(table([HEADER, ...list.executions.map(row)])))
      }),
  )
}

function row({ execution_id, function_name, state, started_at, usage }: RunningExecution__Output): string[] {
  const age = formatDuration(Date.now() - Date.parse(started_at))
  const process = usage
    ? [`${usage.pid}`, `${usage.cpu_percent.toFixed(1)}%`, formatBytes(usage.memory_bytes)]
    : ['-', '-', '-']
  return [execution_id, function_name, state, age, ...process]
}

function table(rows: string[][]): string {
  const widths = HEADER.map((_, column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)))
  const line = (cells: string[]) => cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')
  return rows.map((cells) => `${line(cells).trimEnd()}\n`).join('')
}
