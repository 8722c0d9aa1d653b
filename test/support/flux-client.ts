import { type ChannelCredentials, credentials, type ServiceError, status } from '@grpc/grpc-js'
import { answer, openConnection } from '../../src/cli/connection.js'
import type { AgentServiceClient, OperationsClient } from '../../src/proto.js'
import type { Identity } from './certificates.js'

/** Clients of both services, over a connection of their own. */
export interface Clients {
  readonly agent: AgentServiceClient
  readonly operations: OperationsClient
  close(): void
}

/** What a caller with this certificate, or with none, connects with. */
export function mutualTls(authorityPem: string, identity?: Identity): ChannelCredentials {
  const pem = (text: string | undefined) => (text === undefined ? null : Buffer.from(text))
  return credentials.createSsl(pem(authorityPem), pem(identity?.key), pem(identity?.cert))
}

export function clientsTo(port: number, channelCredentials: ChannelCredentials): Clients {
  return openConnection(`127.0.0.1:${port}`, channelCredentials)
}

/** Calls every RPC of both services once; answers each one's status by its name. */
export async function statusOfEach({ agent, operations }: Clients): Promise<Record<string, string>> {
  const id = { execution_id: 'nobody' }
  const outcomes = {
    RegisterFunction: answer((options, done) =>
      agent.registerFunction({ name: 'any', handler: 'main' }, options, done),
    ),
    DeployFunction: answer((options, done) => agent.deployFunction({ function_name: 'other' }, options, done)),
    ExecuteFunction: answer((options, done) => agent.executeFunction({ function_name: 'other' }, options, done)),
    CancelExecution: answer((options, done) => agent.cancelExecution(id, options, done)),
    GetExecution: answer((options, done) => agent.getExecution(id, options, done)),
    HealthCheck: answer((options, done) => agent.healthCheck({}, options, done)),
    ReportNodeStatus: answer((options, done) => agent.reportNodeStatus({}, options, done)),
    ListExecutions: answer((options, done) => operations.listExecutions({}, options, done)),
    FollowOutput: new Promise((resolve, reject) => {
      operations
        .followOutput(id, { deadline: Date.now() + 10_000 })
        .on('data', () => {})
        .on('end', () => resolve(undefined))
        .on('error', reject)
    }),
  }
  const statuses = Object.entries(outcomes).map(async ([name, outcome]) => [name, await statusOf(outcome)] as const)
  return Object.fromEntries(await Promise.all(statuses))
}

/** The name of the status that a call ends with. */
export function statusOf(outcome: Promise<unknown>): Promise<string> {
  return outcome.then(
    () => 'OK',
    ({ code }: ServiceError) => status[code] ?? String(code),
  )
}
