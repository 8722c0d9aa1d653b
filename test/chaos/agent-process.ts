import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { credentials } from '@grpc/grpc-js'
import { agentCommand } from '../../harness/agent.js'
import { Calls } from '../../harness/calls.js'
import { eventually } from '../../harness/eventually.js'
import { onExit } from '../../harness/on-exit.js'
import {
  AgentService,
  type AgentServiceClient,
  messageLimits,
  Operations,
  type OperationsClient,
} from '../../src/proto.js'
import type { History } from './history.js'

/** As a service manager waits before it starts a service again. */
const RESTART_MS = 300
const SERVING_SECONDS = 45
/** LMDB itself writes to descriptor 2 where its file cannot grow, be it before a line of the agent's. */
const FROM_LMDB = /^(?:Write error: .*? size \d+|mdb_page_spill .*?error \d+)+/

/** Started again whenever it ends, on the same port and state, as a service manager does. */
export class AgentProcess {
  readonly client: AgentServiceClient
  readonly operations: OperationsClient
  readonly calls: Calls
  #process: ChildProcess | undefined
  /** Its end is wanted by the campaign. */
  #told = false
  #keep = true
  #downMs = RESTART_MS
  #partialLine = ''
  /** Whether the running process has logged anything. */
  #hasLog = false
  readonly #configFile: string

  constructor(
    private readonly history: History,
    readonly dir: string,
    private readonly port: number,
    private config: Readonly<Record<string, unknown>>,
  ) {
    this.#configFile = join(dir, 'agent.yaml')
    const address = `127.0.0.1:${port}`
    // A client that finds the agent gone tries again soon, not after minutes.
    const options = {
      ...messageLimits,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.min_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 200,
    }
    this.client = new AgentService(address, credentials.createInsecure(), options)
    this.operations = new Operations(address, credentials.createInsecure(), {
      channelOverride: this.client.getChannel(),
    })
    this.calls = new Calls(this.client)
    onExit(() => this.#process?.kill('SIGKILL'))
    this.#writeConfig()
  }

  /** Whether it has said that it serves, and has not ended since. */
  serving = false

  /** While it runs. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  start(): void {
    if (this.#process || !this.#keep) return
    const [program, ...options] = agentCommand()
    const args = [...options, 'start', '--config', this.#configFile]
    const agent = spawn(program, args, { cwd: this.dir, stdio: ['ignore', 'ignore', 'pipe'] })
    this.#process = agent
    this.#hasLog = false
    this.#told = false
    this.#downMs = RESTART_MS
    agent.stderr.setEncoding('utf8').on('data', (text: string) => this.#read(text))
    agent.once('exit', (code, signal) => {
      this.#process = undefined
      this.serving = false
      const how = signal ?? `code ${code}`
      this.history.note(`agent ${agent.pid} has ended (${how})`)
      // A start that is refused while something is broken is tried again.
      if (!this.#told && !this.history.ailing) this.history.violate('agent ended by itself', how)
      if (this.#told && signal === null && code !== 0) this.history.violate('stop failed', how)
      setTimeout(() => this.start(), this.#downMs).unref()
    })
  }

  /** Ends it; it is started again after so long. */
  end(signal: 'SIGKILL' | 'SIGTERM', downMs: number): void {
    this.#told = true
    this.#downMs = downMs
    this.#process?.kill(signal)
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal)
  }

  /** Has it read a configuration with other keys. */
  reload(keys: Readonly<Record<string, unknown>>): void {
    this.config = { ...this.config, ...keys }
    this.#writeConfig()
    this.#process?.kill('SIGHUP')
  }

  async serves(): Promise<void> {
    await eventually('the agent serves', async () => (await this.calls.health()).healthy, SERVING_SECONDS)
  }

  /** Ends it for good by SIGTERM. */
  async close(): Promise<void> {
    this.#keep = false
    const agent = this.#process
    if (agent) {
      const ended = once(agent, 'exit')
      this.end('SIGTERM', 0)
      await ended
    }
    this.client.close()
  }

  #writeConfig(): void {
    // JSON is YAML.
    writeFileSync(this.#configFile, JSON.stringify({ ...this.config, port: this.port }), { mode: 0o600 })
  }

  #read(text: string): void {
    const lines = (this.#partialLine + text).split('\n')
    this.#partialLine = lines.pop() ?? ''
    for (const said of lines) {
      const line = said.replace(FROM_LMDB, '')
      if (!line.startsWith('{')) {
        // What keeps Node from loading the command, as a lack of descriptors, is said before there is a log.
        if (line !== '' && this.#hasLog) this.history.violate('a line of the log that is no JSON', line)
        continue
      }
      this.#hasLog = true
      const { level, msg, cause } = JSON.parse(line) as { level: number; msg: string; cause?: string }
      if (msg === 'serving') this.serving = true
      if (level >= 40 || msg === 'serving') this.history.note(`  log ${level}: ${msg}${cause ? ` (${cause})` : ''}`)
    }
  }
}
