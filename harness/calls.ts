import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { answer } from '../src/cli/connection.js'
import type { CancelExecutionResponse__Output } from '../src/generated/flux/CancelExecutionResponse.js'
import type { DeploymentAck__Output } from '../src/generated/flux/DeploymentAck.js'
import type { ExecutionRequest } from '../src/generated/flux/ExecutionRequest.js'
import type { ExecutionResponse__Output } from '../src/generated/flux/ExecutionResponse.js'
import type { FunctionAck__Output } from '../src/generated/flux/FunctionAck.js'
import type { FunctionConfig } from '../src/generated/flux/FunctionConfig.js'
import type { GetExecutionResponse__Output } from '../src/generated/flux/GetExecutionResponse.js'
import type { HealthCheckResponse__Output } from '../src/generated/flux/HealthCheckResponse.js'
import type { NodeStatusResponse__Output } from '../src/generated/flux/NodeStatusResponse.js'
import type { AgentServiceClient } from '../src/proto.js'
import type { ExecutionRecord } from '../src/store/record.js'
import { eventually } from './eventually.js'
import { buildZip, PROGRAM } from './zip.js'

/** The record as GetExecution answers it. */
export type AnsweredRecord = ExecutionRecord & { readonly output?: string }

/** The contract's calls as promises; each has a deadline. */
export class Calls {
  private readonly clientNow: () => AgentServiceClient

  /** A function is asked for the client at each call. */
  constructor(client: AgentServiceClient | (() => AgentServiceClient)) {
    this.clientNow = typeof client === 'function' ? client : () => client
  }

  register(config: FunctionConfig): Promise<FunctionAck__Output> {
    return answer((options, done) => this.clientNow().registerFunction(config, options, done))
  }

  deploy(functionName: string, archive: Buffer, config?: FunctionConfig): Promise<DeploymentAck__Output> {
    const request = { function_name: functionName, code_archive: archive, ...(config && { config }) }
    return answer((options, done) => this.clientNow().deployFunction(request, options, done), 30)
  }

  /** Deploys a shell script as `main.sh`, with further keys of its configuration. */
  async script(name: string, lines: string, config: Omit<FunctionConfig, 'name' | 'handler'> = {}): Promise<void> {
    const archive = buildZip([{ name: 'main.sh', contents: `#!/bin/sh\n${lines}\n`, mode: PROGRAM }])
    const ack = await this.deploy(name, archive, { ...config, name, handler: 'main.sh' })
    assert.equal(ack.success, true, ack.message)
  }

  execute(request: ExecutionRequest, seconds = 60): Promise<ExecutionResponse__Output> {
    return answer((options, done) => this.clientNow().executeFunction(request, options, done), seconds)
  }

  /** Starts an async execution; answers its id. */
  async start(functionName: string, args: string[] = [], id: string = randomUUID()): Promise<string> {
    const response = await this.execute({ function_name: functionName, args, execution_id: id, async: true })
    assert.equal(response.error, '')
    return id
  }

  cancel(id: string): Promise<CancelExecutionResponse__Output> {
    return answer((options, done) => this.clientNow().cancelExecution({ execution_id: id }, options, done), 5)
  }

  get(id: string): Promise<GetExecutionResponse__Output> {
    return answer((options, done) => this.clientNow().getExecution({ execution_id: id }, options, done), 30)
  }

  async record(id: string): Promise<AnsweredRecord> {
    const { found, data } = await this.get(id)
    assert.equal(found, true, `execution ${id} is not found`)
    return JSON.parse(data.toString())
  }

  /** The record once the execution has ended. */
  ended(id: string, withinSeconds = 30): Promise<AnsweredRecord> {
    return eventually(
      `the end of ${id}`,
      async () => {
        const record = await this.record(id)
        return record.status === 'running' ? undefined : record
      },
      withinSeconds,
    )
  }

  /** The record once its output contains the text. */
  printed(id: string, text: string, withinSeconds = 10): Promise<AnsweredRecord> {
    return eventually(
      `${id} prints ${text}`,
      async () => {
        const record = await this.record(id)
        return record.output?.includes(text) ? record : undefined
      },
      withinSeconds,
    )
  }

  health(): Promise<HealthCheckResponse__Output> {
    return answer((options, done) => this.clientNow().healthCheck({}, options, done), 3)
  }

  status(): Promise<NodeStatusResponse__Output> {
    return answer((options, done) => this.clientNow().reportNodeStatus({}, options, done), 5)
  }
}
