// Makes code of the agent's own protos, so that a start neither parses them nor compiles what protobufjs makes of them:
// the same functions, written down.
import { writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import protobuf from 'protobufjs'

const PROTOS = ['flux.proto', 'operations.proto']
const OUTPUT = 'src/generated/messages.ts'
const MAKERS = {
  encode: protobuf.encoder,
  decode: protobuf.decoder,
  fromObject: protobuf.converter.fromObject,
  toObject: protobuf.converter.toObject,
}

process.chdir(resolve(import.meta.dirname, '..'))
const root = new protobuf.Root()
root.resolvePath = (_origin, target) => join('proto', target)
root.loadSync(PROTOS, { keepCase: true }).resolveAll()
const messages = parts(root, protobuf.Type)
const services = parts(root, protobuf.Service)
writeFileSync(
  OUTPUT,
  `// @ts-nocheck
// Made of proto/*.proto by scripts/messages.mjs.
import protobuf from 'protobufjs/minimal.js'
const { Reader, Writer, util } = protobuf
${messages.map(message).join('')}
/** A message's functions. */
export interface Message {
  encode(message: object): { finish(): Buffer }
  decode(bytes: Uint8Array): object
  fromObject(value: object): object
  toObject(message: object, options: object): object
}

export interface Method {
  readonly requestStream: boolean
  readonly responseStream: boolean
  readonly request: Message
  readonly response: Message
}

/** By full name: its methods. */
export const services: Readonly<Record<${services.map(({ fullName }) => `'${fullName.slice(1)}'`).join(' | ')}, Record<string, Method>>> = {
${services.map(service).join('')}}
`,
)

function parts(namespace, kind) {
  const below = (namespace.nestedArray ?? []).flatMap((part) => parts(part, kind))
  return namespace instanceof kind ? [namespace, ...below] : below
}

function message(type) {
  const name = nameOf(type)
  const fields = type.fieldsArray.map(({ resolvedType }) => (resolvedType ? nameOf(resolvedType) : undefined))
  const functions = Object.entries(MAKERS).map(([key, make]) => `${name}.${key} = ${make(type)}\n`)
  // The functions name the messages in fields by the field's number; these may stand below.
  const getters = fields.flatMap((field, i) => (field ? `get ${i}() { return ${field} }` : []))
  const types = getters.length > 0 ? `const types = { ${getters.join(', ')} }\n` : ''
  return `
const ${name} = { ctor: ${protobuf.Type.generateConstructor(type)} }
{
${types}${functions.join('')}}
`
}

function service({ methodsArray, fullName }) {
  const methods = methodsArray.map(({ name, requestStream = false, responseStream = false, ...method }) => {
    const request = nameOf(method.resolvedRequestType)
    const response = nameOf(method.resolvedResponseType)
    return `    ${name}: { requestStream: ${requestStream}, responseStream: ${responseStream}, request: ${request}, response: ${response} },\n`
  })
  return `  '${fullName.slice(1)}': {\n${methods.join('')}  },\n`
}

function nameOf({ fullName }) {
  return fullName.slice(1).replaceAll('.', '_')
}
