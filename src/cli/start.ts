import { createLog } from '../log.js'
import { loadConfig } from '../main/config.js'
import { startAgent } from '../main/index.js'

/** Runs the agent until SIGTERM or SIGINT; a second signal hurries the stop. */
export async function start(options: { config?: string }): Promise<void> {
  const { config, warnings } = loadConfig({
    ...(options.config !== undefined && { file: options.config }),
    env: process.env,
    cwd: process.cwd(),
  })
  const log = createLog(config.logLevel, { agent: config.agentId })
  for (const warning of warnings) log.warn(warning)
  const agent = await startAgent(config, log).catch((error: unknown) => {
    // What has a code is for an operator to mend; anything else is a defect, told with its stack.
    const known = error instanceof Error && 'code' in error
    log.fatal(known ? {} : { err: error }, `cannot start: ${error instanceof Error ? error.message : String(error)}`)
    // Threads that have started already would keep the process alive.
    process.exit(1)
  })
  const stop = () => void agent.stop().then(() => process.exit(0))
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
