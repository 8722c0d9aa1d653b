import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Worker } from 'node:worker_threads'
import { credentials } from '@grpc/grpc-js'
import { makeTempDir } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { type AgentConnection, openConnection } from '../../src/cli/connection.js'
import { loadConfig } from '../../src/config/load.js'
import { AgentState } from '../../src/host/agent-state.js'
import { ServiceManager } from '../../src/host/service-manager.js'
import { createLog } from '../../src/log/log.js'
import { startAgent } from '../../src/main/index.js'

/** An agent in this process, so that its worker threads can be ended. */
export interface AgentInProcess {
  readonly calls: Calls
  readonly connection: AgentConnection
  /** Those that it has started, dead ones too. */
  readonly threads: readonly Worker[]
  stop(): Promise<void>
}

/** `config`: keys of agent.yaml. */
export async function startAgentInProcess(config: Readonly<Record<string, unknown>>): Promise<AgentInProcess> {
  const threads: Worker[] = []
  process.on('worker', (worker) => threads.push(worker))
  const dir = makeTempDir('flux-in-process-')
  const file = join(dir, 'agent.yaml')
  const settings = { agent_id: 'mortal', host: '127.0.0.1', port: 0, run_as: 'self', state_dir: dir, max_tasks: 50 }
  writeFileSync(file, JSON.stringify({ ...settings, ...config }))
  const { config: loaded } = loadConfig({ file, env: {}, cwd: dir })
  const state = new AgentState()
  const agent = await startAgent(loaded, createLog('error'), state, new ServiceManager(undefined, state))
  const connection = openConnection(`127.0.0.1:${agent.port}`, credentials.createInsecure())
  const stop = async () => {
    connection.close()
    await agent.stop('the test is over')
  }
  return { calls: new Calls(connection.agent), connection, threads, stop }
}
