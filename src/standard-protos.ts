import type { ServiceDefinition } from '@grpc/grpc-js'
import type { PackageDefinition } from '@grpc/proto-loader'
import type { HealthDefinition } from './generated/grpc/health/v1/Health.js'
import type { ServerReflectionDefinition } from './generated/grpc/reflection/v1/ServerReflection.js'
import { loadProtos } from './load-protos.js'

/** Services that every gRPC tool knows. Their protos are loaded by their first call, since few agents get one. */
export const health = service<HealthDefinition>('grpc.health.v1', 'Health', lazily('health.proto'), {
  Check: { requestStream: false, responseStream: false },
  List: { requestStream: false, responseStream: false },
  Watch: { requestStream: false, responseStream: true },
})

const BOTH_WAYS = { ServerReflectionInfo: { requestStream: true, responseStream: true } }
const reflectionFile = lazily('reflection.proto')

/** Its versions differ in the package alone. */
export const reflections = ['grpc.reflection.v1', 'grpc.reflection.v1alpha'].map((inPackage) =>
  service<ServerReflectionDefinition>(inPackage, 'ServerReflection', reflectionFile, BOTH_WAYS),
)

export interface StandardService<Definition> {
  readonly inPackage: string
  /** With its package. */
  readonly name: string
  readonly file: () => PackageDefinition
  readonly definition: Definition
}

type Streams = Readonly<Record<string, { readonly requestStream: boolean; readonly responseStream: boolean }>>

/** `file` defines a service of that name, in whatever package. */
function service<Definition extends ServiceDefinition>(
  inPackage: string,
  ownName: string,
  file: () => PackageDefinition,
  methods: Streams,
): StandardService<Definition> {
  const name = `${inPackage}.${ownName}`
  const method = (methodName: string) => {
    const [, found] = Object.entries(file()).find(([part]) => part.endsWith(`.${ownName}`)) ?? []
    return (found as ServiceDefinition)[methodName] as ServiceDefinition[string]
  }
  const definition = Object.entries(methods).map(([methodName, streams]) => [
    methodName,
    {
      path: `/${name}/${methodName}`,
      ...streams,
      requestSerialize: (value: object) => method(methodName).requestSerialize(value),
      requestDeserialize: (bytes: Buffer) => method(methodName).requestDeserialize(bytes),
      responseSerialize: (value: object) => method(methodName).responseSerialize(value),
      responseDeserialize: (bytes: Buffer) => method(methodName).responseDeserialize(bytes),
    },
  ])
  return { inPackage, name, file, definition: Object.fromEntries(definition) as Definition }
}

function lazily(file: string): () => PackageDefinition {
  let loaded: PackageDefinition | undefined
  return () => {
    loaded ??= loadProtos([file])
    return loaded
  }
}
