import { createRequire } from 'node:module'
import type { MessageTypeDefinition, PackageDefinition } from '@grpc/proto-loader'

/** A file of protos, as reflection describes it. */
export interface ProtoFile {
  readonly name: string
  /** A serialized google.protobuf.FileDescriptorProto. */
  readonly descriptor: Buffer
  /** Full names of its services. */
  readonly services: readonly string[]
  /** Full names of all that it defines. */
  readonly symbols: ReadonlySet<string>
}

/** The parts of the messages of google/protobuf/descriptor.proto that are used here, as protobufjs has them. */
interface FileDescriptor {
  name: string
  package: string
  readonly messageType: readonly MessageDescriptor[]
  readonly enumType: readonly Named[]
  readonly service: readonly (Named & { readonly method: readonly MethodDescriptor[] })[]
}
interface MessageDescriptor {
  name: string
  readonly field: readonly { name: string; typeName: string }[]
  readonly nestedType: readonly MessageDescriptor[]
  readonly enumType: readonly Named[]
  readonly options?: { readonly mapEntry?: boolean }
}
/** Here the names of types have their package, other than in messages. */
interface MethodDescriptor extends Named {
  inputType: string
  outputType: string
}
interface Named {
  readonly name: string
}

/** Describes a file that imports no others, as if it were of `inPackage`. */
export function describeProto(definition: PackageDefinition, inPackage?: string): ProtoFile {
  const message = Object.values(definition).find(isMessage)
  const [serialized] = message?.fileDescriptorProtos ?? []
  if (!serialized) throw new Error('a file of protos defines no message')
  const file = descriptors().FileDescriptorProto.decode(serialized) as unknown as FileDescriptor
  if (inPackage !== undefined) move(file, inPackage)
  file.name = `${file.package.replaceAll('.', '/')}.proto`
  for (const message of file.messageType) nameMapEntries(message)
  return described(file)
}

function isMessage(part: PackageDefinition[string]): part is MessageTypeDefinition<object, object> {
  return 'fileDescriptorProtos' in part && Array.isArray(part.fileDescriptorProtos)
}

function move(file: FileDescriptor, inPackage: string): void {
  const moved = (type: string) => type.replace(file.package, inPackage)
  for (const method of file.service.flatMap((service) => service.method)) {
    method.inputType = moved(method.inputType)
    method.outputType = moved(method.outputType)
  }
  file.package = inPackage
}

function described(file: FileDescriptor): ProtoFile {
  const inPackage = (name: string) => `${file.package}.${name}`
  const services = file.service.map(({ name }) => inPackage(name))
  const symbols = [
    ...file.messageType.flatMap((message) => symbolsOf(message, file.package)),
    ...file.enumType.map(({ name }) => inPackage(name)),
    ...file.service.flatMap(({ name, method }) => [name, ...method.map((one) => `${name}.${one.name}`)].map(inPackage)),
  ]
  const descriptor = Buffer.from(
    descriptors()
      .FileDescriptorProto.encode(file as object)
      .finish(),
  )
  return { name: file.name, descriptor, services, symbols: new Set(symbols) }
}

function symbolsOf({ name, nestedType, enumType, field }: MessageDescriptor, parent: string): string[] {
  const full = `${parent}.${name}`
  const own = [...field, ...enumType].map((part) => `${full}.${part.name}`)
  return [full, ...own, ...nestedType.flatMap((nested) => symbolsOf(nested, full))]
}

/**
 * Gives the entries of maps the names that protoc gives them: protobufjs leaves `Entry` out, and Go refuses such a file
 * (protodesc).
 */
function nameMapEntries(message: MessageDescriptor): void {
  for (const nested of message.nestedType) {
    if (!nested.options?.mapEntry) continue
    const field = message.field.find(({ typeName }) => typeName === nested.name)
    if (!field) continue
    nested.name = `${field.name.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())}Entry`
    field.typeName = nested.name
  }
}

/** Loaded by the first question: few agents get one. */
function descriptors(): typeof import('protobufjs/ext/descriptor/index.js') {
  return createRequire(import.meta.url)('protobufjs/ext/descriptor')
}
