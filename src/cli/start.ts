import { createLog } from '../log.js'
import { loadConfig } from '../main/config.js'
import { type RunningAgent, startAgent } from '../main/index.js'

/** Runs the agent until SIGTERM or SIGINT; a second signal hurries the stop. */
export async function start(options: { config?: string }): Promise<void> {
  const { config, warnings } = loadConfig({
    ...(options.config !== undefined && { file: options.config }),
    env: process.env,
    cwd: process.cwd(),
  })
  const log = createLog(config.logLevel, { agent: config.agentId })
  for (const warning of warnings) log.warn(warning)
  let agent: RunningAgent | undefined
  // From the first: an agent that is told to stop the moment it serves must not die of it, and one that still waits for
  // its store has nothing to lose.
  const stop = () => void (agent?.stop() ?? Promise.resolve()).then(() => process.exit(0))
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  agent = await startAgent(config, log).catch((error: unknown) => {
    // What has a code is for an operator to mend; anything else is a defect, told with its stack.
    const known = error instanceof Error && 'code' in error
    log.fatal(known ? {} : { err: error }, `cannot start: ${error instanceof Error ? error.message : String(error)}`)
    // Threads that have started already would keep the process alive.
    process.exit(1)
  })
}
