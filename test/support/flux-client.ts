import {
  type ChannelCredentials,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  makeClientConstructor,
  type ServiceError,
  status,
} from '@grpc/grpc-js'
import type { Identity } from '../../harness/certificates.js'
import { answer, openConnection } from '../../src/cli/connection.js'
import type { HealthClient } from '../../src/generated/grpc/health/v1/Health.js'
import type { ServerReflectionClient } from '../../src/generated/grpc/reflection/v1/ServerReflection.js'
import type { AgentServiceClient, OperationsClient } from '../../src/proto.js'
import { health, reflections } from '../../src/standard-protos.js'

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

/** Clients of gRPC's standard services, over the connection of another. */
export function standardClients(of: AgentServiceClient) {
  const over = [
    of.getChannel().getTarget(),
    credentials.createInsecure(),
    { channelOverride: of.getChannel() },
  ] as const
  const Health = makeClientConstructor(health.definition, health.name)
  const [v1] = reflections
  if (!v1) throw new Error('there is no reflection')
  const Reflection = makeClientConstructor(v1.definition, v1.name)
  return {
    health: new Health(...over) as unknown as HealthClient,
    reflection: new Reflection(...over) as unknown as ServerReflectionClient,
  }
}

/** Calls every RPC of all services once; answers each one's status by its name. */
export async function statusOfEach({ agent, operations }: Clients): Promise<Record<string, string>> {
  const id = { execution_id: 'nobody' }
  const standard = standardClients(agent)
  const drained = answer((options, done) => operations.drain({}, options, done))
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
    Drain: drained,
    Resume: drained.catch(() => {}).then(() => answer((options, done) => operations.resume({}, options, done))),
    Check: answer((options, done) => standard.health.Check({}, options, done)),
    List: answer((options, done) => standard.health.List({}, options, done)),
    Watch: firstAnswer(standard.health.Watch({})),
    ServerReflectionInfo: firstAnswer(standard.reflection.ServerReflectionInfo()),
  }
  const statuses = Object.entries(outcomes).map(async ([name, outcome]) => [name, await statusOf(outcome)] as const)
  return Object.fromEntries(await Promise.all(statuses))
}

/** Resolves with its first message; rejects with its status. */
function firstAnswer(stream: ClientReadableStream<unknown> | ClientDuplexStream<object, unknown>): Promise<unknown> {
  if ('write' in stream) stream.write({ list_services: '' })
  return new Promise((resolve, reject) => {
    stream.on('error', reject).once('data', (message) => {
      resolve(message)
      stream.cancel()
    })
  })
}

/** The name of the status that a call ends with. */
export function statusOf(outcome: Promise<unknown>): Promise<string> {
  return outcome.then(
    () => 'OK',
    ({ code }: ServiceError) => status[code] ?? String(code),
  )
}
