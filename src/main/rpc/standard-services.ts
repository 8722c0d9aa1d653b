import type { Server } from '@grpc/grpc-js'
import type { AgentState } from '../../host/agent-state.js'
import { loadProtos, OWN_PROTOS } from '../../load-protos.js'
import { health, reflections } from '../../standard-protos.js'
import type { Handlers } from './handler.js'
import { describeProto, type ProtoFile } from './proto-files.js'
import { reflect } from './reflection.js'
import { StandardHealth } from './standard-health.js'

/** Adds what the tools of gRPC ask every server for: health, and reflection. */
export function addStandardServices(server: Server, state: AgentState, handlers: Handlers): void {
  const standardHealth = new StandardHealth(state)
  server.addService(health.definition, {
    Check: handlers.unary((call) => standardHealth.check(call)),
    List: handlers.unary(() => standardHealth.list()),
    Watch: handlers.streaming((call, closing) => standardHealth.watch(call, closing)),
  })
  let described: readonly ProtoFile[] | undefined
  const files = () => {
    described ??= [
      ...OWN_PROTOS.map((file) => describeProto(loadProtos([file]))),
      ...[health, ...reflections].map(({ file, inPackage }) => describeProto(file(), inPackage)),
    ]
    return described
  }
  const info = { ServerReflectionInfo: handlers.bidirectional((call, closing) => reflect(call, files, closing)) }
  for (const { definition } of reflections) server.addService(definition, info)
}
