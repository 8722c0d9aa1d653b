import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ChannelCredentials, credentials } from '@grpc/grpc-js'
import { openConnection } from '../src/cli/connection.js'
import type { AgentServiceClient, OperationsClient } from '../src/proto.js'
import { removeCgroupsAtExit } from './cgroup-leftovers.js'
import { removeFirewallAtExit } from './firewall-leftovers.js'
import { killLaunchersAtExit } from './launchers.js'
import { onExit } from './on-exit.js'

/** The `flux-agent` command, as users run it. */
export const CLI = fileURLToPath(new URL('../agent/cli/index.js', import.meta.url))

/** An agent starts in 3 s in the tests' guest kernel, and in ten times that on a busy machine. */
const START_SECONDS = process.env['FLUX_KERNEL'] ? 120 : 30
const STOP_SECONDS = 60

export interface TestAgentOptions {
  /** Keys of agent.yaml, in addition to the default ones. */
  readonly config?: Readonly<Record<string, unknown>>
  /** Credentials for the clients; required where `config` has tls. */
  readonly credentials?: ChannelCredentials
  /** Environment of the agent, in addition to this process's. */
  readonly env?: NodeJS.ProcessEnv
  /** The folder of an earlier agent, to start on its state. */
  readonly dir?: string
  /** A command that executes the agent in its own place; gets the agent's command line as arguments. */
  readonly through?: readonly [string, ...string[]]
}

/** A real agent in a process of its own. It ends, and its folder is removed, at the latest with the test process. */
export interface TestAgent {
  readonly client: AgentServiceClient
  readonly operations: OperationsClient
  readonly port: number
  readonly pid: number
  readonly configFile: string
  readonly dir: string
  /** Everything it has logged, as JSON lines. */
  logs(): string
  /** Stops it by SIGTERM; answers its exit code. */
  stop(): Promise<number | null>
  /** Kills it by SIGKILL. */
  kill(): Promise<void>
}

/** Starts an agent with the embedded store on a free port of the loopback, and waits until it serves. */
export async function startTestAgent(options: TestAgentOptions = {}): Promise<TestAgent> {
  const dir = options.dir ?? makeTempDir('flux-agent-test-')
  const configFile = join(dir, 'agent.yaml')
  const config = {
    agent_id: 'test-agent',
    host: '127.0.0.1',
    port: 0,
    redis_addr: 'embedded',
    run_as: 'self',
    state_dir: join(dir, 'state'),
    // A second one takes a fifth of a start.
    workers: 1,
    // Else each agent would ask a web service for it.
    network: { node_public_ip: '192.0.2.1' },
    ...options.config,
  }
  // JSON is YAML.
  writeFileSync(configFile, JSON.stringify(config, null, 2))
  const start = [...agentCommand(), 'start', '--config', configFile]
  const [program, ...args] = [...(options.through ?? []), ...start] as [string, ...string[]]
  const agent = spawn(program, args, {
    cwd: dir,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  onExit(() => agent.kill('SIGKILL'))
  const log = readLog(agent)
  const port = await servingPort(agent, log).catch((error: Error) => {
    // It would keep this process alive.
    agent.kill('SIGKILL')
    throw error
  })
  removeCgroupsAtExit(config.state_dir)
  killLaunchersAtExit(config.state_dir)
  // Others have no separate functions, and so no rules.
  if (config.run_as !== 'self') removeFirewallAtExit(config.state_dir)
  letTestEnd(agent)
  const connection = openConnection(`127.0.0.1:${port}`, options.credentials ?? credentials.createInsecure())
  const end = async (signal: NodeJS.Signals): Promise<number | null> => {
    connection.close()
    if (agent.exitCode === null && agent.signalCode === null) {
      const ended = within(STOP_SECONDS, once(agent, 'exit'), () => `the agent did not end by ${signal}:\n${log.text}`)
      agent.kill(signal)
      await ended
    }
    return agent.exitCode
  }
  return {
    client: connection.agent,
    operations: connection.operations,
    port,
    pid: agent.pid as number,
    configFile,
    dir,
    logs: () => log.text,
    stop: () => end('SIGTERM'),
    kill: async () => void (await end('SIGKILL')),
  }
}

/** The agent's command with the options of Node that the tests are told to use, else those in its first line. */
export function agentCommand(): [string, ...string[]] {
  const [line = ''] = readFileSync(CLI, 'latin1').split('\n', 1)
  const words = process.env.AGENT_NODE_OPTIONS ?? line
  return [process.execPath, ...words.split(' ').filter((word) => word.startsWith('--')), CLI]
}

/** A temporary folder, removed when this process ends. */
export function makeTempDir(prefix: string, parent = tmpdir()): string {
  const dir = mkdtempSync(join(parent, prefix))
  onExit(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }))
  return dir
}

interface Log {
  text: string
}

function readLog(agent: ChildProcess): Log {
  const log = { text: '' }
  agent.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log.text += text
  })
  return log
}

function servingPort(agent: ChildProcess, log: Log): Promise<number> {
  const serving = new Promise<number>((resolve, reject) => {
    agent.stderr?.on('data', () => {
      const line = log.text.split('\n').find((candidate) => candidate.includes('"msg":"serving"'))
      if (line?.endsWith('}')) resolve((JSON.parse(line) as { port: number }).port)
    })
    agent.once('error', reject)
    agent.once('close', (code) => reject(new Error(`the agent ended with code ${code}:\n${log.text}`)))
  })
  return within(START_SECONDS, serving, () => `the agent does not serve:\n${log.text}`)
}

// A failed test may not have stopped its agent, and must not wait for it.
function letTestEnd(agent: ChildProcess): void {
  agent.unref()
  ;(agent.stderr as Socket).unref()
}

async function within<T>(seconds: number, outcome: Promise<T>, problem: () => string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`after ${seconds} s ${problem()}`)), seconds * 1000)
  })
  return Promise.race([outcome, late]).finally(() => clearTimeout(timer))
}
