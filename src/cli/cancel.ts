import { Command } from 'commander'
import type { CancelExecutionResponse__Output } from '../generated/flux/CancelExecutionResponse.js'
import { type ConnectionOptions, connectionOptions, withAgent } from './connect.js'
import { answer } from './connection.js'
import { CommandFailure } from './failure.js'
import { writeJson, writeOut } from './stdout.js'

interface CancelOptions extends ConnectionOptions {
  readonly json?: boolean
}

/** `flux-agent cancel`: cancels an execution. */
export function cancelCommand(): Command {
  return connectionOptions(
    new Command('cancel')
      .summary('end an execution and every process it started')
      .description('End an execution and every process it started.')
      .argument('ID', 'execution id, as `ps` lists it')
      .option('--json', 'print {"success": …, "message": …}')
      .addHelpText('after', '\nExample:\n  flux-agent cancel 7d4f2c1e-5b0a-4a51-9b0e-1f7d3a8c2b10')
      .action(async (id: string, options: CancelOptions) => {
        const response = await withAgent(options, ({ agent }) =>
          answer<CancelExecutionResponse__Output>((call, done) =>
            agent.CancelExecution({ execution_id: id }, call, done),
          ),
        )
        if (options.json) {
          await writeJson(response)
          process.exitCode = response.success ? 0 : 1
          return
        }
        if (!response.success) throw new CommandFailure(response.message)
        await writeOut(`cancelled ${id}\n`)
      }),
  )
}
